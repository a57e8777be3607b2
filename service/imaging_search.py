"""QIDO-RS searches over the rows: studies by SQL, their series and instances from their descriptions."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, load_only

from pacs_gateway.dicomjson import Attributes
from pacs_gateway.searching import Match, Search, like_pattern
from service.accounts import Permission, Viewer
from service.descriptions import IDENTITY, Description, identity_attributes
from service.errors import BadSyntax, NotAllowed
from service.patient_search import holding
from service.result_objects import ResultObject
from service.sight import visible_studies
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
    """A study, its description where it was made, and the modalities of the hub's own objects."""

    study: Study
    description: Description | None
    made: Sequence[ResultObject]


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Studies that match, and how many more there are (up to `COUNT_UP_TO`)."""

    studies: Sequence[FoundStudy]
    remaining: int


TOLD = (
    Study.study_instance_uid,
    Study.patient_id,
    Study.patient_name,
    Study.birth_date,
    Study.sex,
    Study.accession_number,
    Study.study_date,
    Study.study_description,
    Study.modality,
    Study.revision,
    Study.instances,
)
"""What a search reads of a study; to read another column of what it found is an error."""

# made once: building a statement costs as much processor time as running it
_DESCRIBED = (
    select(Study, Description)
    .outerjoin(Description, (Description.study_id == Study.id) & (Description.revision == Study.revision))
    .order_by(Study.id.desc())
    # the rest is a third of the time: notes, reasons and repairs are JSON, and moments are text in SQLite
    .options(load_only(*TOLD, raiseload=True))
)
_MADE = (
    select(ResultObject)
    .join(Study, (Study.id == ResultObject.study_id) & (Study.revision == ResultObject.revision))
    .where(ResultObject.study_id.in_(bindparam("studies", expanding=True)))
    .order_by(ResultObject.id)
)


def search_studies(session: Session, viewer: Viewer, search: Search) -> StudyPage:
    """The studies that `viewer` may see and that match, newest first; attributes below them are passed over.

    Raises:
        NotAllowed: the search names a patient and the role works without names.
        BadSyntax: a date is none.
    """
    _check_identity(viewer, search)
    wanted = [visible_studies(viewer), Study.revision > 0]
    left = []
    for match in search.matches:
        condition = _condition(match)
        if condition is not None:
            wanted.append(condition)
            if match.path[0] == NAME:
                wanted += holding(session, re.split(r"[*?^=]", match.value))
        elif match.path[0] in READ_TAGS and match.value not in ("", "*"):
            left.append(match)
    query = _DESCRIBED.where(*wanted)
    if left:
        return _page_by_reading(session, query, search, left)
    rows = session.execute(query.offset(search.offset).limit(search.limit + 1)).all()
    remaining = 0
    if len(rows) > search.limit:
        beyond = select(Study.id).where(*wanted).limit(search.offset + search.limit + COUNT_UP_TO).subquery()
        counted = session.scalars(select(func.count()).select_from(beyond)).one()
        remaining = counted - search.offset - search.limit
    return StudyPage(_with_made(session, [(row[0], row[1]) for row in rows[: search.limit]]), remaining)


def _page_by_reading(
    session: Session, query: Select[Study, Description], search: Search, left: Sequence[Match]
) -> StudyPage:
    """For attributes that have no column: look at the studies one by one."""

    def matching() -> Iterator[tuple[Study, Description | None]]:
        for study, description in session.execute(query.execution_options(yield_per=200)):
            attributes = dict(description.attributes) if description else {}
            attributes["00080061"] = {"vr": "CS", "Value": sorted(modalities(study, description, ()))}
            if all(match(attributes) for match in left):
                yield study, description

    found = list(islice(matching(), search.offset, search.offset + search.limit + 1 + COUNT_UP_TO))
    return StudyPage(_with_made(session, found[: search.limit]), max(0, len(found) - search.limit))


def modalities(study: Study, description: Description | None, made: Iterable[ResultObject]) -> set[str]:
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


def _with_made(session: Session, rows: Sequence[tuple[Study, Description | None]]) -> list[FoundStudy]:
    made: dict[int, list[ResultObject]] = {study.id: [] for study, _ in rows}
    if made:
        for row in session.scalars(_MADE, {"studies": list(made)}):
            made[row.study_id].append(row)
    return [FoundStudy(study, description, made[study.id]) for study, description in rows]


def _check_identity(viewer: Viewer, search: Search) -> None:
    if viewer.may(Permission.READ_IDENTITY):
        return
    for match in search.matches:
        if match.path[0].startswith("0010") or match.path[0] in IDENTITY:
            raise NotAllowed(f"the role {viewer.role.value!r} does not search for patients")


def _condition(match: Match) -> ColumnElement[bool] | None:
    tag, value = match.path[0], match.value
    if len(match.path) > 1 or value in ("", "*"):
        return None
    if tag == UID:
        return Study.study_instance_uid.in_(value.replace("\\", ",").split(","))
    if tag == NAME:
        return _name(value)
    if tag in TEXT_COLUMNS:
        column = TEXT_COLUMNS[tag]
        return column.like(like_pattern(value), escape="\\") if {"*", "?"} & set(value) else column == value
    if tag in DATE_COLUMNS:
        return _between(DATE_COLUMNS[tag], value)
    return None


def _name(value: str) -> ColumnElement[bool]:
    """In any component group, upper and lower case alike."""
    pattern, name = like_pattern(value.lower()), func.lower(Study.patient_name)
    return or_(
        *(
            name.like(each, escape="\\")
            for each in (pattern, f"{pattern}=%", f"%={pattern}", f"%={pattern}=%")
        )
    )


def _between(column: InstrumentedAttribute[date | None], value: str) -> ColumnElement[bool]:
    low, dash, high = value.partition("-")
    if not dash:
        return column == _day(low)
    ends = [column >= _day(low)] if low else []
    ends += [column <= _day(high)] if high else []
    condition: ColumnElement[bool] = column.is_not(None)
    for end in ends:
        condition = condition & end
    return condition


def _day(text: str) -> date:
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        raise BadSyntax(
            f"{text!r} is no date; write it as 20261122 or as a range 20261101-20261122"
        ) from None
