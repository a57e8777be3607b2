"""The rows of the index: each function is one fact recorded or asked, on an open SQLite connection."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from sqlite3 import Connection
from typing import Any

from pacs_gateway.arrivals import Ending, Outcome
from pacs_gateway.callers import Sender
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.offers import Offer, digest_of_offer, pack_offer

_HEADER_FIELDS = tuple(field.name for field in fields(InstanceHeader))
_TUPLES = ("image_type", "position", "orientation")


def open_association(db: Connection, owner: str, sender: Sender, now: float, offer: Offer = ()) -> int:
    packed = pack_offer(offer)
    digest = digest_of_offer(packed) if offer else ""
    row = (owner, sender.calling_ae, sender.called_ae, sender.address, sender.hcode, sender.certificate, now)
    cursor = db.execute(
        "INSERT INTO associations"
        " (owner, calling_ae, called_ae, address, hcode, certificate, opened_at, offer)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (*row, digest),
    )
    if offer:
        db.execute("INSERT OR IGNORE INTO offers (digest, contexts) VALUES (?, ?)", (digest, packed))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def close_association(
    db: Connection, association_id: int, ending: Ending, now: float, detail: str = ""
) -> None:
    db.execute(
        "UPDATE associations SET closed_at = ?, ending = ?, detail = ? WHERE id = ? AND closed_at IS NULL",
        (now, ending, detail, association_id),
    )


def close_associations_of(db: Connection, owner: str, now: float) -> int:
    return db.execute(
        "UPDATE associations SET closed_at = ?, ending = ? WHERE owner = ? AND closed_at IS NULL",
        (now, Ending.KILLED, owner),
    ).rowcount


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an instance, and what its study tells of the sender's pace."""

    outcome: Outcome
    gap_seconds: float | None = None
    """Since the instance of the study before it."""
    discarded: bool = False
    """A duplicate of one whose file is no longer kept."""


def record_instance(
    db: Connection, association_id: int, header: InstanceHeader, sha256: str, size: int, now: float
) -> Recorded:
    """Index one durable instance."""
    study = header.study_instance_uid
    same = dict(
        db.execute(
            "SELECT sha256, discarded FROM instances WHERE sop_instance_uid = ?", (header.sop_instance_uid,)
        )
    )
    if sha256 in same:
        count(db, association_id, study, Outcome.DUPLICATE)
        return Recorded(Outcome.DUPLICATE, discarded=bool(same[sha256]))
    outcome = Outcome.CONFLICT if same else Outcome.STORED
    db.execute(
        "INSERT INTO instances (sha256, sop_instance_uid, study_instance_uid, association_id, received_at,"
        " size, conflict, header) VALUES (?,?,?,?,?,?,?,?)",
        (sha256, header.sop_instance_uid, study, association_id, now, size, bool(same), pack_header(header)),
    )
    before = db.execute("SELECT last_at FROM studies WHERE study_instance_uid = ?", (study,)).fetchone()
    db.execute(
        "INSERT INTO studies (study_instance_uid, first_at, last_at, instances) VALUES (?1, ?2, ?2, 1)"
        " ON CONFLICT DO UPDATE SET last_at = max(last_at, ?2), instances = instances + 1",
        (study, now),
    )
    count(db, association_id, study, outcome)
    return Recorded(outcome, None if before is None else now - float(before[0]))


def count(db: Connection, association_id: int, study_instance_uid: str, outcome: Outcome) -> None:
    db.execute(
        f"INSERT INTO receipts (association_id, study_instance_uid, {outcome}) VALUES (?, ?, 1)"
        f" ON CONFLICT DO UPDATE SET {outcome} = {outcome} + 1",
        (association_id, study_instance_uid),
    )


def record_refusal(
    db: Connection,
    association_id: int,
    *,
    study_instance_uid: str,
    sop_instance_uid: str,
    status: int,
    reason: str,
    quarantined: str | None,
    now: float,
) -> None:
    count(db, association_id, study_instance_uid, Outcome.REFUSED)
    db.execute(
        "INSERT INTO refusals (association_id, study_instance_uid, sop_instance_uid, status, reason,"
        " quarantined, refused_at) VALUES (?,?,?,?,?,?,?)",
        (association_id, study_instance_uid, sop_instance_uid, status, reason, quarantined, now),
    )


def add_gaps(db: Connection, gaps: Iterable[tuple[tuple[str, int], int]]) -> None:
    db.executemany(
        "INSERT INTO gaps (sender, bucket, seen) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET seen = seen + excluded.seen",
        [(sender, bucket, seen) for (sender, bucket), seen in gaps],
    )
    db.execute(
        "UPDATE gaps SET seen = seen / 2 WHERE sender IN"
        " (SELECT sender FROM gaps GROUP BY sender HAVING sum(seen) > 20000)"
    )


def gaps_of(db: Connection, sender: str) -> dict[int, int]:
    return dict(db.execute("SELECT bucket, seen FROM gaps WHERE sender = ?", (sender,)).fetchall())


def pending_studies(db: Connection) -> list[Any]:
    """Studies with instances that the hub has not taken: uid, first_at, last_at."""
    return db.execute(
        "SELECT study_instance_uid, first_at, last_at FROM studies"
        " WHERE instances <> taken_instances ORDER BY first_at"
    ).fetchall()


def associations_of(db: Connection, study_instance_uid: str) -> list[tuple[int, Sender, bool]]:
    """Those that delivered the study, oldest first: id, sender, whether open."""
    rows = db.execute(
        "SELECT id, calling_ae, called_ae, address, hcode, certificate, closed_at IS NULL FROM receipts"
        " JOIN associations ON id = association_id WHERE study_instance_uid = ? ORDER BY id",
        (study_instance_uid,),
    )
    return [(row[0], Sender(*row[1:6]), bool(row[6])) for row in rows]


def instances_of(db: Connection, study_instance_uid: str) -> list[Any]:
    """sha256, received_at, size, conflict, packed header."""
    return db.execute(
        "SELECT sha256, received_at, size, conflict, header FROM instances"
        " WHERE study_instance_uid = ? ORDER BY received_at, sha256",
        (study_instance_uid,),
    ).fetchall()


def totals_of(db: Connection, study_instance_uid: str) -> tuple[int, int]:
    """Duplicates and conflicts over all associations."""
    row = db.execute(
        "SELECT coalesce(sum(duplicate), 0), coalesce(sum(conflict), 0) FROM receipts"
        " WHERE study_instance_uid = ?",
        (study_instance_uid,),
    ).fetchone()
    return row[0], row[1]


def take_study(db: Connection, study_instance_uid: str, instances: int, digest: str, now: float) -> None:
    db.execute(
        "UPDATE studies SET taken_instances = ?, taken_digest = ?, taken_at = ? WHERE study_instance_uid = ?",
        (instances, digest, now, study_instance_uid),
    )


def discard_taken(db: Connection, before: float) -> list[str]:
    """Mark every instance of studies taken before then as discarded; their sha256s."""
    taken = (
        "study_instance_uid IN (SELECT study_instance_uid FROM studies"
        " WHERE taken_at < ? AND instances = taken_instances)"
    )
    return [
        sha256
        for (sha256,) in db.execute(
            f"UPDATE instances SET discarded = 1 WHERE discarded = 0 AND {taken} RETURNING sha256", (before,)
        ).fetchall()
    ]


def receipt_rows(db: Connection, where: str, values: tuple[object, ...], limit: int) -> list[Any]:
    return db.execute(
        "SELECT a.id, a.calling_ae, a.called_ae, a.address, a.hcode, a.certificate, a.opened_at, a.closed_at,"
        " a.ending, a.detail, o.contexts,"
        " coalesce(r.study_instance_uid, ''), coalesce(r.stored, 0), coalesce(r.duplicate, 0),"
        " coalesce(r.conflict, 0), coalesce(r.refused, 0)"
        " FROM associations a LEFT JOIN receipts r ON r.association_id = a.id"
        " LEFT JOIN offers o ON o.digest = a.offer"
        f" WHERE {where} ORDER BY a.id DESC, r.study_instance_uid LIMIT ?",
        (*values, limit),
    ).fetchall()


def refusal_rows(db: Connection, association_id: int, study_instance_uid: str) -> list[Any]:
    return db.execute(
        "SELECT association_id, study_instance_uid, sop_instance_uid, status, reason, quarantined, refused_at"
        " FROM refusals WHERE association_id = ? AND study_instance_uid = ? ORDER BY id",
        (association_id, study_instance_uid),
    ).fetchall()


def is_indexed(db: Connection, sha256: str) -> bool:
    """Whether the instance with this hash has a row."""
    return db.execute("SELECT 1 FROM instances WHERE sha256 = ?", (sha256,)).fetchone() is not None


def indexed(db: Connection) -> set[str]:
    return {sha256 for (sha256,) in db.execute("SELECT sha256 FROM instances WHERE discarded = 0")}


def pack_header(header: InstanceHeader) -> str:
    return json.dumps({name: getattr(header, name) for name in _HEADER_FIELDS}, separators=(",", ":"))


def unpack_header(text: str) -> InstanceHeader:
    values = json.loads(text)
    for name in _TUPLES:
        if values[name] is not None:
            values[name] = tuple(values[name])
    return InstanceHeader(**values)


def forget_associations(db: Connection, before: float) -> list[str]:
    """Delete associations that ended before then with all that they brought; the sha256s of the instances."""
    ended = "SELECT id FROM associations WHERE closed_at < ?"
    gone = db.execute(
        f"DELETE FROM instances WHERE association_id IN ({ended}) RETURNING sha256", (before,)
    ).fetchall()
    for table in ("receipts", "refusals"):
        db.execute(f"DELETE FROM {table} WHERE association_id IN ({ended})", (before,))
    db.execute("DELETE FROM associations WHERE closed_at < ?", (before,))
    db.execute(
        "DELETE FROM studies WHERE study_instance_uid NOT IN (SELECT study_instance_uid FROM instances)"
    )
    return [sha256 for (sha256,) in gone]
