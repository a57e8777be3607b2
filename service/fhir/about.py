"""About: the patient and the study that something concerns, as far as the viewer may see them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.accounts import Viewer
from service.errors import NotFound
from service.fhir.criteria import Days
from service.fhir.elements import Resource, reference
from service.fhir.imaging_study import study_reference
from service.fhir.patient import patient_number, same_patient
from service.fhir.study_search import patient_study
from service.sight import visible_studies
from service.studies import Study
from service.thai_time import THAILAND


@dataclass(frozen=True, slots=True)
class About:
    """References to a patient and to their study."""

    subject: Resource
    study: Resource
    uid: str


def about(session: Session, viewer: Viewer, study_ids: Iterable[int]) -> Mapping[int, About]:
    """By the studies' numbers; a study that the viewer may not see is not among them."""
    query = select(Study).where(Study.id.in_(set(study_ids)), visible_studies(viewer))
    return {
        study.id: About(
            reference("Patient", f"p{patient_number(session, study)}"),
            study_reference(study),
            study.study_instance_uid,
        )
        for study in session.scalars(query)
    }


def of_patients(
    session: Session, viewer: Viewer, column: InstrumentedAttribute[int], ids: Sequence[str]
) -> ColumnElement[bool]:
    """The condition for rows about a study of one of the patients, on the column with the study's number."""
    return or_(false(), *(_of_patient(session, viewer, column, each) for each in ids))


def during(
    column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None], days: Days
) -> ColumnElement[bool]:
    """A comparison of a moment with days, which begin and end as they do in Thailand."""
    low, high = _begin(days.low), _begin(days.high)
    comparisons: dict[str, ColumnElement[bool]] = {
        "eq": and_(column >= low, column < high),
        "ne": or_(column < low, column >= high),
        "gt": column >= high,
        "ge": column >= low,
        "lt": column < low,
        "le": column < high,
    }
    return comparisons[days.prefix]


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), THAILAND).astimezone(UTC)


def _of_patient(
    session: Session, viewer: Viewer, column: InstrumentedAttribute[int], patient_id: str
) -> ColumnElement[bool]:
    try:
        study = patient_study(session, viewer, patient_id)
    except NotFound:
        return false()
    return column.in_(select(Study.id).where(same_patient(study), visible_studies(viewer)))
