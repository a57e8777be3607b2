"""Finding studies by FHIR search parameters; every resource about a study is found through it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from service.accounts import Viewer
from service.arrivals import clean
from service.errors import BadSyntax, NotFound
from service.fhir.criteria import Criteria, Days, Token
from service.fhir.elements import DCM, DICOM_UID, SIL
from service.fhir.patient import read_patient_id, same_patient
from service.patient_search import holding
from service.sight import visible_studies
from service.states import OUTCOMES, StudyState
from service.studies import Study

_HN_PREFIX, _HN_SUFFIX, _RAD_SUFFIX = f"{SIL}/hcode/5/", "/HN", "/Rad"


@dataclass(frozen=True, slots=True)
class Found:
    """Studies, newest first, and the number after which the next page starts."""

    studies: Sequence[Study]
    next: int | None


def find_studies(session: Session, viewer: Viewer, criteria: Criteria, *, per_page: int) -> Found:
    """The studies that `viewer` may see and the criteria are about."""
    query = select(Study).where(visible_studies(viewer), *_conditions(session, viewer, criteria))
    if criteria.after is not None:
        query = query.where(Study.id < criteria.after)
    studies = session.scalars(query.order_by(Study.id.desc()).limit(per_page + 1)).all()
    shown = studies[:per_page]
    return Found(shown, shown[-1].id if len(studies) > per_page else None)


def find_patient_studies(session: Session, viewer: Viewer, criteria: Criteria) -> Found:
    """One study, the newest that fits, of each patient; patients without an HN are not among them."""
    newest = func.max(Study.id)
    query = (
        select(newest)
        .where(
            visible_studies(viewer),
            Study.patient_id != "",
            *_conditions(session, viewer, criteria),
        )
        .group_by(Study.hcode, Study.patient_id)
        .order_by(newest.desc())
    )
    if criteria.after is not None:
        query = query.having(newest < criteria.after)
    numbers = session.scalars(query.limit(criteria.count + 1)).all()
    shown = numbers[: criteria.count]
    found = session.scalars(select(Study).where(Study.id.in_(shown)).order_by(Study.id.desc())).all()
    return Found(found, shown[-1] if len(numbers) > criteria.count else None)


def patient_study(session: Session, viewer: Viewer, patient_id: str) -> Study:
    """The newest study that `viewer` may see of the patient whom a Patient's id names.

    The id holds the number of the patient's first study, which the viewer need not have been shown.

    Raises:
        NotFound: there is none.
    """
    if named := session.get(Study, read_patient_id(patient_id)):
        seen = select(Study).where(same_patient(named), visible_studies(viewer))
        if study := session.scalar(seen.order_by(Study.id.desc()).limit(1)):
            return study
    raise NotFound(f"no Patient {patient_id!r}")


def _conditions(session: Session, viewer: Viewer, criteria: Criteria) -> list[ColumnElement[bool]]:
    made: list[ColumnElement[bool]] = []
    for name, tokens in criteria.tokens.items():
        if (of := _TOKENS.get((criteria.kind, name))) is not None:
            made.append(or_(*map(of, tokens)))
    for name, ids in criteria.references.items():
        if name in ("patient", "subject"):
            made.append(or_(*(_of_patient(session, viewer, each) for each in ids)))
        elif name in ("study", "derived-from", "target"):
            made.append(Study.study_instance_uid.in_([clean(each) for each in ids]))
    for texts in criteria.strings.values():
        made.append(or_(*(_named(session, each) for each in texts)))
    for name, days in criteria.days.items():
        column = Study.birth_date if name == "birthdate" else Study.study_date
        made += [_within(column, each) for each in days]
    return made


def _of_patient(session: Session, viewer: Viewer, patient_id: str) -> ColumnElement[bool]:
    try:
        study = patient_study(session, viewer, patient_id)
    except NotFound:
        return false()
    if not study.patient_id:
        return Study.id == study.id
    return and_(Study.hcode == study.hcode, Study.patient_id == study.patient_id)


def _of_uid(token: Token) -> ColumnElement[bool]:
    return Study.study_instance_uid == clean(token.code)


def of_observation(number: str) -> ColumnElement[bool]:
    """The condition for the study in an Observation's id, NUMBER-PART; never true of what is no such id."""
    first = number.partition("-")[0]
    return Study.id == int(first) if first.isdecimal() and len(first) < 19 else false()


def _of_study_identifier(token: Token) -> ColumnElement[bool]:
    if token.system == DICOM_UID or token.code.startswith("urn:oid:"):
        return Study.study_instance_uid == clean(token.code.removeprefix("urn:oid:"))
    numbered = Study.accession_number == clean(token.code)
    if token.system is None:
        return numbered
    return and_(numbered, Study.hcode == _hospital_in(token.system, _RAD_SUFFIX))


def _of_hn(token: Token) -> ColumnElement[bool]:
    numbered = Study.patient_id == clean(token.code)
    if token.system is None:
        return numbered
    return and_(numbered, Study.hcode == _hospital_in(token.system, _HN_SUFFIX))


def _of_patient_id(token: Token) -> ColumnElement[bool]:
    try:
        number = read_patient_id(token.code)
    except NotFound:
        return false()
    named = aliased(Study)
    person = select(named.hcode, named.patient_id).where(named.id == number)
    return tuple_(Study.hcode, Study.patient_id).in_(person)


def _hospital_in(system: str, suffix: str) -> str:
    if system.startswith(_HN_PREFIX) and system.endswith(suffix):
        return system.removeprefix(_HN_PREFIX).removesuffix(suffix)
    raise BadSyntax(f"the identifier system {system[:100]!r} is not known here; {_HN_PREFIX}HCODE{suffix} is")


def _of_modality(token: Token) -> ColumnElement[bool]:
    if token.system not in (None, DCM):
        return false()
    return Study.modality == clean(token.code)


def _of_study_status(token: Token) -> ColumnElement[bool]:
    inactive = {"registered": StudyState.RECEIVING, "inactive": StudyState.SUPERSEDED}
    if token.code == "available":
        return not_(Study.state.in_(list(inactive.values())))
    return Study.state == inactive[token.code] if token.code in inactive else false()


def _of_report_status(token: Token) -> ColumnElement[bool]:
    # preliminary and final are told apart by the signature, which the caller looks at
    if token.code in ("preliminary", "final"):
        return Study.state.in_(sorted(OUTCOMES - {StudyState.FAILED}))
    if token.code == "cancelled":
        return Study.state == StudyState.FAILED
    return not_(Study.state.in_(sorted(OUTCOMES))) if token.code == "registered" else false()


_TOKENS: dict[tuple[str, str], Callable[[Token], ColumnElement[bool]]] = {
    ("Patient", "_id"): _of_patient_id,
    ("Patient", "identifier"): _of_hn,
    ("ImagingStudy", "_id"): _of_uid,
    ("ImagingStudy", "identifier"): _of_study_identifier,
    ("ImagingStudy", "modality"): _of_modality,
    ("ImagingStudy", "status"): _of_study_status,
    ("DiagnosticReport", "_id"): _of_uid,
    ("DiagnosticReport", "status"): _of_report_status,
    ("Observation", "_id"): lambda token: of_observation(token.code),
    ("Provenance", "_id"): _of_uid,
}


def _named(session: Session, text: str) -> ColumnElement[bool]:
    name = func.lower(Study.patient_name)
    compared = (name.contains(word, autoescape=True) for word in clean(text).lower().split())
    return and_(*holding(session, [text]), *compared)


def _within(column: InstrumentedAttribute[date | None], days: Days) -> ColumnElement[bool]:
    comparisons: dict[str, ColumnElement[bool]] = {
        "eq": and_(column >= days.low, column < days.high),
        "ne": or_(column < days.low, column >= days.high),
        "gt": column >= days.high,
        "ge": column >= days.low,
        "lt": column < days.low,
        "le": column < days.high,
    }
    return comparisons[days.prefix]
