"""A region's worklist after years of use: a million studies, written as fast as the database takes them."""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from model.stroke import StrokeType
from service.db import make_engine, session_scope, upgrade
from service.hospitals import list_hospitals, seed_hospitals
from service.states import CLOCK, Lane, Priority, StudyState, place_of

FIRST = 1_000_000
"""Number of the first row."""
YEARS = 5
REVIEWED = 0.98
CHUNK = 20_000
STATES = {
    StudyState.CLEAR: 0.82,
    StudyState.FLAGGED: 0.09,
    StudyState.REVIEW: 0.04,
    StudyState.REFUSED: 0.045,
    StudyState.FAILED: 0.002,
    StudyState.SUPERSEDED: 0.003,
}
LANES, PRIORITIES, SEXES = (Lane.LIVE, Lane.RETROSPECTIVE), (Priority.ROUTINE, Priority.STAT), ("M", "F")
KINDS = [kind.value for kind in StrokeType]
COMPLETE = ("head_covered", "slices without a gap cover a head")
TITLES = ("นาย", "นาง", "น.ส.", "")
GIVEN = (
    ("สม", "บุญ", "ทอง", "วิ", "ประ", "สุ", "จัน", "คำ", "พร", "อร", "นิ", "ศิ", "ชัย", "มา", "กัญ", "แก้ว"),
    ("ชาย", "หญิง", "ศรี", "มี", "ใบ", "เลิศ", "เสริฐ", "ภา", "ดา", "ทร์", "พันธ์", "ทิพย์", "อุดร", "วรรณ", "ตา"),
)  # fmt: skip
FAMILY = (
    ("ใจ", "ศรี", "แก้ว", "บุญ", "ทอง", "พล", "วงศ์", "สุข", "ไชย", "จันทร์", "โคตร", "คำ", "ภู", "แสน"),
    ("ดี", "มา", "สุข", "ทา", "ชัย", "บุรี", "แก้ว", "ประเสริฐ", "สวัสดิ์", "ศักดิ์", "โสม", "หงษ์", "พรม", "วงษา"),
    ("", "กุล", "ชัย", "วัฒน์", "พงษ์", "ดี"),
)  # fmt: skip
COLUMNS = (
    "id", "study_instance_uid", "hcode", "state", "place", "priority", "lane", "patient_id", "patient_name",
    "birth_date", "sex", "age_years", "accession_number", "study_date", "study_description", "modality",
    "repairs", "revision", "digest", "instances", "duplicates", "conflicts", "completion_code",
    "completion_text", "reasons", "notes", "first_received_at", "last_received_at", "ready_at", "result_at",
    "reviewed_at",
)  # fmt: skip
FLAG_COLUMNS = ("study_id", "stroke_type", "hcode", "state", "place")
Row = tuple[str | int | float | None, ...]


def fill(url: str, number: int, *, seed: int = 8, source: Path | None = None) -> None:
    """Upgrade an empty database and add `number` studies of the last five years, with what stands flagged.

    Args:
        url: The database.
        number: How many studies.
        seed: Of the chances.
        source: A SQLite database that was filled before; its studies are copied, which is faster.
    """
    engine = make_engine(url)
    upgrade(engine)
    with session_scope(engine) as session:
        seed_hospitals(session)
    with session_scope(engine, write=False) as session:
        weights = {each.hcode: float(each.ct_patients_per_month or 20) for each in list_hospitals(session)}
    engine.dispose()
    rows = _copied(source, number) if source else _chunks(np.random.default_rng(seed), weights, number)
    if url.startswith("sqlite"):
        _into_sqlite(Path(url.removeprefix("sqlite:///")), rows)
    else:
        _into_postgres(url.replace("+psycopg", ""), rows)


def names(chance: np.random.Generator, number: int) -> list[str]:
    """Thai names as hospitals send them, with the title glued to the given name."""
    picks = [chance.integers(len(part), size=number) for part in (TITLES, *GIVEN, *FAMILY)]
    parts = (TITLES, *GIVEN, *FAMILY)
    return [
        "".join(part[at] for part, at in zip(parts[:3], row[:3], strict=True))
        + "^"
        + "".join(part[at] for part, at in zip(parts[3:], row[3:], strict=True))
        for row in zip(*(each.tolist() for each in picks), strict=True)
    ]


def _chunks(
    chance: np.random.Generator, weights: dict[str, float], number: int
) -> Iterator[tuple[list[Row], list[Row]]]:
    """Rows of both tables, made column by column: one by one they would take longer than their writing."""
    hospitals, share = list(weights), np.array(list(weights.values()))
    end = np.datetime64(datetime.now(UTC).replace(tzinfo=None, microsecond=0)) - np.timedelta64(300, "s")
    for start in range(0, number, CHUNK):
        count = min(CHUNK, number - start)
        numbers = range(FIRST + start, FIRST + start + count)
        hcodes = chance.choice(hospitals, count, p=share / share.sum()).tolist()
        states = chance.choice(np.array(list(STATES)), count, p=list(STATES.values())).tolist()
        received = end - chance.integers(0, YEARS * 365 * 86400, count).astype("timedelta64[s]")
        birth = np.datetime64("1930-01-01") + chance.integers(0, 28_000, count).astype("timedelta64[D]")
        lanes = [LANES[retro] for retro in (chance.random(count) < 0.05).tolist()]
        priorities = [PRIORITIES[stat] for stat in (chance.random(count) < 0.1).tolist()]
        reviewed = (chance.random(count) < REVIEWED).tolist()
        people = chance.integers(0, 3_000_000, count).tolist()
        kinds = zip(states, lanes, priorities, reviewed, strict=True)
        groups = np.array([_group(*kind) for kind in kinds], dtype=np.int64)
        moments = received.astype("datetime64[ms]").astype(np.int64)
        places = (groups * CLOCK + (CLOCK - 1 - moments)).tolist()
        ages = ((received.astype("datetime64[D]") - birth).astype(int) / 365.25).round(1).tolist()
        arrived, told = _text(received), _text(received + np.timedelta64(95, "s"))
        same = [[value] * count for value in ("CT BRAIN NC", "CT", "[]", 1, "0" * 64, 32, 0, 0, *COMPLETE)]
        columns = (
            numbers, [f"1.2.826.0.1.3680043.8.498.{each:020d}" for each in numbers], hcodes, states, places,
            priorities, lanes, [f"{each:07d}" for each in people], names(chance, count),
            np.datetime_as_string(birth).tolist(), [SEXES[each % 2] for each in people], ages,
            [f"A{each}" for each in numbers], [each[:10] for each in arrived], *same,
            ['["not_head"]' if each == StudyState.REFUSED else "[]" for each in states], ["[]"] * count,
            arrived, arrived, arrived, told, [t if r else None for t, r in zip(told, reviewed, strict=True)],
        )  # fmt: skip
        flags: list[Row] = [
            (number, kind, hcode, state, place)
            for number, person, hcode, state, place in zip(
                numbers, people, hcodes, states, places, strict=True
            )
            if state == StudyState.FLAGGED
            for kind in (KINDS[0], KINDS[1 + person % 5])
        ]
        yield list(zip(*columns, strict=True)), flags


def _copied(source: Path, number: int) -> Iterator[tuple[list[Row], list[Row]]]:
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as connection:
        for table, columns in (("studies", COLUMNS), ("study_flags", FLAG_COLUMNS)):
            found = connection.execute(
                f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} BETWEEN ? AND ?",
                (FIRST, FIRST + number - 1),
            )
            while chunk := found.fetchmany(CHUNK):
                yield (chunk, []) if table == "studies" else ([], chunk)


@cache
def _group(state: str, lane: str, priority: str, reviewed: bool) -> int:
    """Of the worklist, by the hub's own rule."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return place_of(StudyState(state), Lane(lane), Priority(priority), moment, reviewed=reviewed) // CLOCK


def _text(moments: "np.ndarray[Any, np.dtype[np.datetime64]]") -> list[str]:
    """As SQLAlchemy writes moments into SQLite, without the zone."""
    texts = np.datetime_as_string(moments, unit="us").tolist()
    return [each.replace("T", " ") for each in texts]


def _into_sqlite(path: Path, rows: Iterator[tuple[list[Row], list[Row]]]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-500000", "locking_mode=EXCLUSIVE"):
            connection.execute(f"PRAGMA {pragma}")
        later = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE tbl_name IN ('studies', 'study_flags')"
            " AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in later:
            connection.execute(f"DROP {kind} {name}")
        connection.execute("BEGIN")
        for studies, flags in rows:
            for table, columns, some in (("studies", COLUMNS, studies), ("study_flags", FLAG_COLUMNS, flags)):
                marks = ", ".join("?" * len(columns))
                connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", some)
        connection.execute(
            "INSERT INTO patient_names (rowid, name, hospital) SELECT id, '^' || replace(replace("
            "patient_name, '=', '^'), ' ', '^') || '^', coalesce(hcode, '') FROM studies"
        )
        connection.execute("COMMIT")
        for *_, text in later:
            connection.execute(text)


def _into_postgres(url: str, rows: Iterator[tuple[list[Row], list[Row]]]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        later = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('studies', 'study_flags')"
            " AND indexname NOT LIKE 'pk_%' AND indexname NOT LIKE 'uq_%'"
        ).fetchall()
        for name, _ in later:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        connection.execute("SET session_replication_role = replica")  # hospitals and studies are known to fit
        with connection.transaction():
            for studies, flags in rows:
                _copy(connection, "studies", COLUMNS, studies)
                _copy(connection, "study_flags", FLAG_COLUMNS, flags)
        texts = sorted((text for _, text in later), key=lambda text: "gin" not in text)
        with ThreadPoolExecutor(
            2
        ) as pool:  # the longest first; two at a time, as there are two cores at least
            list(pool.map(lambda text: _index(url, text), texts))
        connection.execute("ANALYZE")


def _index(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute(text)


def _copy(connection: psycopg.Connection, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
