"""The statements of QIDO searches, made once for a viewer and what is compared.

Building a statement takes as much processor time as running it. So what is compared comes as parameters, who
asks is part of the statement, and grants and blindness, which also decide sight, are asked of the rows each
time.
"""

from collections.abc import Sequence
from dataclasses import fields
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Integer, Select, String, bindparam, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from service.accounts import Viewer
from service.descriptions import Description, ToldStudy
from service.patient_search import among_grams, in_full_text
from service.result_objects import ResultObject
from service.sight import visible_studies
from service.studies import Study

KEPT = 256
"""For so many pairs of viewer and shape the statements are kept."""


class How(StrEnum):
    """How a column is compared with a value."""

    AMONG = "among"
    IS = "is"
    LIKE = "like"
    FROM = "from"
    UNTIL = "until"
    NAMED = "named"
    """In any component group, upper and lower case alike."""
    IN_FULL_TEXT = "in_full_text"
    AMONG_GRAMS = "among_grams"


Comparison = tuple[How, InstrumentedAttribute[Any], Any]
Shape = tuple[tuple[How, InstrumentedAttribute[Any]], ...]
"""What a search compares, and how: everything of it but the values."""

_ROWS, _OBJECTS = Study.__table__.c, ResultObject.__table__.c
# columns, not objects: making 21 objects of rows takes longer than finding them
_DESCRIBED = (
    select(*(_ROWS[field.name] for field in fields(ToldStudy)), Description.attributes, Description.series)
    .select_from(Study)
    .outerjoin(Description, (Description.study_id == Study.id) & (Description.revision == Study.revision))
    .order_by(Study.id.desc())
)
MADE = (
    select(
        _OBJECTS.study_id,
        _OBJECTS.modality,
        _OBJECTS.series_instance_uid,
        _OBJECTS.series_number,
        _OBJECTS.series_description,
        _OBJECTS.sop_instance_uid,
        _OBJECTS.sop_class_uid,
        _OBJECTS.transfer_syntax_uid,
        _OBJECTS.storage_key,
        _OBJECTS.instance_number,
    )
    .select_from(ResultObject)
    .join(Study, (Study.id == ResultObject.study_id) & (Study.revision == ResultObject.revision))
    .where(ResultObject.study_id.in_(bindparam("studies", expanding=True)))
    .order_by(ResultObject.id)
)
"""The hub's own objects of some studies, in the order made."""


@lru_cache(KEPT)
def all_of(viewer: Viewer, shape: Shape) -> Select[*tuple[Any, ...]]:
    """Studies in the viewer's sight, newest first: the columns of `ToldStudy`, then of its description."""
    return _DESCRIBED.where(*_conditions(viewer, shape))


@lru_cache(KEPT)
def page_of(viewer: Viewer, shape: Shape) -> Select[*tuple[Any, ...]]:
    """Of these a page; parameters `offset` and `limit`."""
    return all_of(viewer, shape).offset(bindparam("offset", type_=Integer)).limit(_limit())


@lru_cache(KEPT)
def count_of(viewer: Viewer, shape: Shape) -> Select[int]:
    """How many they are, counted up to `limit`."""
    counted = select(Study.id).where(*_conditions(viewer, shape)).limit(_limit()).subquery()
    return select(func.count()).select_from(counted)


def shape_of(compared: Sequence[Comparison]) -> Shape:
    """What is compared, without the values."""
    return tuple((how, column) for how, column, _ in compared)


def values_of(compared: Sequence[Comparison]) -> dict[str, Any]:
    """The values, as the parameters of the statements."""
    return {_name(place): value for place, (_, _, value) in enumerate(compared)}


def _conditions(viewer: Viewer, shape: Shape) -> list[ColumnElement[bool]]:
    compared = [_condition(how, column, _name(place)) for place, (how, column) in enumerate(shape)]
    return [visible_studies(viewer), Study.revision > 0, *compared]


def _condition(how: How, column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    match how:
        case How.AMONG:
            return column.in_(bindparam(name, expanding=True))
        case How.IS:
            return column == bindparam(name)
        case How.LIKE:
            return column.like(bindparam(name, type_=String), escape="\\")
        case How.FROM:
            return column >= bindparam(name)
        case How.UNTIL:
            return column <= bindparam(name)
        case How.NAMED:
            pattern = bindparam(name, type_=String)
            groups = (pattern, pattern + "=%", "%=" + pattern, "%=" + pattern + "=%")
            return or_(*(func.lower(column).like(each, escape="\\") for each in groups))
        case How.IN_FULL_TEXT:
            return in_full_text(bindparam(name, type_=String))
        case How.AMONG_GRAMS:
            return among_grams(bindparam(name))


def _limit() -> BindParameter[int]:
    return bindparam("limit", type_=Integer)


def _name(place: int) -> str:
    return f"value_{place}"
