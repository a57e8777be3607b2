"""QIDO-RS searches over the rows: studies by SQL, their series and instances from their descriptions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.orm import InstrumentedAttribute, Session

from pacs_gateway.dicomjson import Attributes
from pacs_gateway.searching import Match, Search, like_pattern
from service.accounts import Permission, Viewer
from service.descriptions import IDENTITY, Told, ToldStudy, identity_attributes
from service.errors import BadSyntax, NotAllowed
from service.imaging_statements import (
    MADE,
    Comparison,
    How,
    all_of,
    count_of,
    page_of,
    shape_of,
    values_of,
)
from service.patient_search import full_text_of, grams_of, is_full_text
from service.result_objects import MadeObject
from service.studies import Study

COUNT_UP_TO = 10_000
"""Further results are counted up to here; beyond, counting costs more than the answer."""

TEXT_COLUMNS: dict[str, InstrumentedAttribute[str]] = {
    "00080050": Study.accession_number,
    "00081030": Study.study_description,
    "00100020": Study.patient_id,
    "00100040": Study.sex,
}
DATE_COLUMNS: dict[str, InstrumentedAttribute[date | None]] = {
    "00080020": Study.study_date,
    "00100030": Study.birth_date,
}
READ_TAGS = frozenset({"00080030", "00080061", "00080090", "00200010"})
"""Attributes of a study that have no column; they are looked at study by study."""
UID, NAME = "0020000D", "00100010"


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study, its description where it was made, and the hub's own objects."""

    study: ToldStudy
    description: Told | None
    made: Sequence[MadeObject]


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Studies that match, and how many more there are (up to `COUNT_UP_TO`)."""

    studies: Sequence[FoundStudy]
    remaining: int


def search_studies(session: Session, viewer: Viewer, search: Search) -> StudyPage:
    """The studies that `viewer` may see and that match, newest first; attributes below them are passed over.

    Raises:
        NotAllowed: the search names a patient and the role works without names.
        BadSyntax: a date is none.
    """
    _check_identity(viewer, search)
    asked = [match for match in search.matches if match.value not in ("", "*")]
    compared = [each for match in asked if len(match.path) == 1 for each in _compared(session, match)]
    shape, values = shape_of(compared), values_of(compared)
    connection = session.connection()  # past the session, which makes objects
    if left := [match for match in asked if match.path[0] in READ_TAGS]:
        rows = connection.execute(all_of(viewer, shape), values, execution_options={"yield_per": 200})
        return _page_by_reading(connection, rows, search, left)
    page = {"offset": search.offset, "limit": search.limit + 1}
    found = [_told(row) for row in connection.execute(page_of(viewer, shape), values | page)]
    remaining = 0
    if len(found) > search.limit:
        most = search.offset + search.limit + COUNT_UP_TO
        counted = connection.execute(count_of(viewer, shape), values | {"limit": most}).scalar_one()
        remaining = counted - search.offset - search.limit
    return StudyPage(_with_made(connection, found[: search.limit]), remaining)


def _page_by_reading(
    connection: Connection, rows: Iterable[Row[*tuple[Any, ...]]], search: Search, left: Sequence[Match]
) -> StudyPage:
    """For attributes that have no column: look at the studies one by one."""

    def matching() -> Iterator[tuple[ToldStudy, Told | None]]:
        for study, description in map(_told, rows):
            attributes = dict(description.attributes) if description else {}
            attributes["00080061"] = {"vr": "CS", "Value": sorted(modalities(study, description, ()))}
            if all(match(attributes) for match in left):
                yield study, description

    found = list(islice(matching(), search.offset, search.offset + search.limit + 1 + COUNT_UP_TO))
    return StudyPage(_with_made(connection, found[: search.limit]), max(0, len(found) - search.limit))


def modalities(study: ToldStudy, description: Told | None, made: Iterable[MadeObject]) -> set[str]:
    """The modalities in a study, the hub's own objects included."""
    found = {row.modality for row in made}
    for series in description.series if description else ():
        found |= set(series["attributes"].get("00080060", {}).get("Value", []))
    return found | ({study.modality} if not description and study.modality else set())


def study_attributes(found: FoundStudy, *, retrieve_url: str) -> Attributes:
    """What a search tells of a study. PS3.18 table 10.6.3-3."""
    study, description = found.study, found.description
    series = len({row.series_instance_uid for row in found.made})
    instances = len(found.made)
    if description:
        series += len(description.series)
        instances += sum(each["instances"] for each in description.series)
    else:
        instances += study.instances
    return {
        **identity_attributes(study),
        **(description.attributes if description else {}),
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": {"vr": "CS", "Value": sorted(modalities(study, description, found.made))},
        "00081190": {"vr": "UR", "Value": [retrieve_url]},
        "00201206": {"vr": "IS", "Value": [max(series, 1)]},
        "00201208": {"vr": "IS", "Value": [instances]},
    }


def _told(row: Row[*tuple[Any, ...]]) -> tuple[ToldStudy, Told | None]:
    *study, attributes, series = row
    return ToldStudy(*study), None if series is None else Told(attributes, series)


def _with_made(connection: Connection, found: Sequence[tuple[ToldStudy, Told | None]]) -> list[FoundStudy]:
    made: dict[int, list[MadeObject]] = {study.id: [] for study, _ in found}
    if made:
        for row in connection.execute(MADE, {"studies": list(made)}):
            made[row.study_id].append(row)
    return [FoundStudy(study, description, made[study.id]) for study, description in found]


def _check_identity(viewer: Viewer, search: Search) -> None:
    if viewer.may(Permission.READ_IDENTITY):
        return
    for match in search.matches:
        if match.path[0].startswith("0010") or match.path[0] in IDENTITY:
            raise NotAllowed(f"the role {viewer.role.value!r} does not search for patients")


def _compared(session: Session, match: Match) -> Iterator[Comparison]:
    """What a match compares in columns; nothing where the attribute has none."""
    tag, value = match.path[0], match.value
    if tag == UID:
        yield How.AMONG, Study.study_instance_uid, value.replace("\\", ",").split(",")
    elif tag == NAME:
        yield How.NAMED, Study.patient_name, like_pattern(value.lower())
        if grams := grams_of(re.split(r"[*?^=]", value)):
            if is_full_text(session):
                yield How.IN_FULL_TEXT, Study.patient_name, full_text_of(grams)
            else:
                yield How.AMONG_GRAMS, Study.patient_name, grams
    elif tag in TEXT_COLUMNS:
        if {"*", "?"} & set(value):
            yield How.LIKE, TEXT_COLUMNS[tag], like_pattern(value)
        else:
            yield How.IS, TEXT_COLUMNS[tag], value
    elif tag in DATE_COLUMNS:
        yield from _between(DATE_COLUMNS[tag], value)


def _between(column: InstrumentedAttribute[date | None], value: str) -> Iterator[Comparison]:
    low, dash, high = value.partition("-")
    if not dash:
        yield How.IS, column, _day(low)
    elif low:
        yield How.FROM, column, _day(low)
    if high:
        yield How.UNTIL, column, _day(high)


def _day(text: str) -> date:
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        raise BadSyntax(
            f"{text!r} is no date; write it as 20261122 or as a range 20261101-20261122"
        ) from None
