"""Reading one resource by its id, and searching for many: what every kind of resource answers."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.errors import NotFound
from service.fhir.communication_search import read_communication, search_communications
from service.fhir.criteria import LONGEST_PAGE, Criteria, Token
from service.fhir.device import check_device_id, device
from service.fhir.document_search import read_document, search_documents
from service.fhir.elements import HCODE, Resource
from service.fhir.imaging_study import ENDPOINT, endpoint, imaging_study
from service.fhir.organization import organization
from service.fhir.page import Page
from service.fhir.patient import patient, patient_number, same_patient
from service.fhir.provenance import provenance
from service.fhir.referral_search import read_referral, search_referrals
from service.fhir.report import diagnostic_report, observations, report_state
from service.fhir.study_search import find_patient_studies, find_studies, of_observation, patient_study
from service.fhir.subscription import read_subscription, search_subscriptions
from service.fhir.task_search import read_task, search_tasks
from service.fhir.told import Told, read_told
from service.findings import Analysis
from service.hospitals import Hospital, find_hospital, list_hospitals
from service.series import series_of
from service.sight import find_study, visible_studies
from service.studies import Study

OBSERVATIONS_A_STUDY: Final = 11


def read_resource(session: Session, viewer: Viewer, kind: str, number: str, *, base: str) -> Page:
    """One resource, as a page of one.

    Raises:
        NotFound: there is none that `viewer` may see.
    """
    if kind in _OF_A_STUDY:
        study = find_study(session, number, viewer)
        made = _OF_A_STUDY[kind](session, read_told(session, study))
        if made is None:
            raise NotFound(f"no {kind} {number!r}")
        return Page([made], [study.id])
    return _READ[kind](session, viewer, number, base)


def search_resources(session: Session, viewer: Viewer, criteria: Criteria, *, base: str) -> Page:
    """One page of what the criteria are about and `viewer` may see."""
    kind = criteria.kind
    if kind == "Patient":
        found = find_patient_studies(session, viewer, criteria)
        made = [_patient_of(session, viewer, each) for each in found.studies]
        return Page(made, [each.id for each in found.studies], found.next)
    if kind == "Observation":
        return _search_observations(session, viewer, criteria)
    if kind in _OF_A_STUDY:
        found = find_studies(session, viewer, criteria, per_page=criteria.count)
        told = [read_told(session, each) for each in found.studies]
        wanted = [each for each in told if _fits(criteria, each)]
        resources = [_OF_A_STUDY[kind](session, each) for each in wanted]
        numbers = [each.study.id for each in wanted]
        return Page([each for each in resources if each is not None], numbers, found.next)
    return _SEARCH[kind](session, viewer, criteria, base)


def everything(session: Session, viewer: Viewer, patient_id: str, *, base: str, limit: int = 50) -> Page:
    """A patient with the newest `limit` studies, what is said of them, and what was asked and told."""
    study = patient_study(session, viewer, patient_id)
    condition = visible_studies(viewer)
    studies = session.scalars(
        select(Study).where(same_patient(study), condition).order_by(Study.id.desc()).limit(limit)
    ).all()
    made = [patient(patient_number(session, study), studies)]
    devices: dict[str, Resource] = {}
    for each in studies:
        told = read_told(session, each)
        made += [_imaging_study(session, told), diagnostic_report(told), *observations(told)]
        made += [origin] if (origin := provenance(told)) else []
        if told.analysis:
            devices[told.analysis.model_digest] = device(told.analysis)
    made += [*devices.values(), *_care_of(session, viewer, patient_id, base)]
    return Page(made, [each.id for each in studies])


def _care_of(session: Session, viewer: Viewer, patient_id: str, base: str) -> list[Resource]:
    """The newest referrals, consults, letters and messages about a patient that the role may see."""
    made: list[Resource] = []
    for kind in ("ServiceRequest", "Task", "DocumentReference", "Communication"):
        if kind == "Communication" and not viewer.may(Permission.ON_CALL):
            continue
        criteria = Criteria(kind, references={"subject": [patient_id]}, count=LONGEST_PAGE)
        made += search_resources(session, viewer, criteria, base=base).resources
    return made


def _imaging_study(session: Session, told: Told) -> Resource:
    return imaging_study(told, series_of(session, told.study.id))


def _fits(criteria: Criteria, told: Told) -> bool:
    """Whether the report's status is one of those asked for: the signature is not in the study's row."""
    wanted = criteria.tokens.get("status", ()) if criteria.kind == "DiagnosticReport" else ()
    return not wanted or report_state(told) in {each.code for each in wanted}


def _patient_of(session: Session, viewer: Viewer, study: Study) -> Resource:
    query = select(Study).where(same_patient(study), visible_studies(viewer))
    newest = session.scalars(query.order_by(Study.id.desc()).limit(1)).one()
    return patient(patient_number(session, study), [newest])


def _read_patient(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    study = patient_study(session, viewer, number)
    return Page([_patient_of(session, viewer, study)], [study.id])


def _read_observation(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    study = session.scalar(select(Study).where(of_observation(number), visible_studies(viewer)))
    for each in observations(read_told(session, study)) if study else []:
        if study and each["id"] == number:
            return Page([each], [study.id])
    raise NotFound(f"no Observation {number!r}")


def _search_observations(session: Session, viewer: Viewer, criteria: Criteria) -> Page:
    found = find_studies(session, viewer, criteria, per_page=max(1, criteria.count // OBSERVATIONS_A_STUDY))
    codes = criteria.tokens.get("code", ())
    made = [
        each
        for study in found.studies
        for each in observations(read_told(session, study))
        if (criteria.ids is None or each["id"] in criteria.ids)
        and (not codes or any(_is_coded(each, code) for code in codes))
    ]
    return Page(made, [each.id for each in found.studies], found.next)


def _is_coded(observation: Resource, token: Token) -> bool:
    return any(
        each["code"] == token.code and token.system in (None, each["system"])
        for each in observation["code"]["coding"]
    )


def _read_organization(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    return Page([organization(find_hospital(session, number))])


def _search_organizations(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    found = [each for each in list_hospitals(session) if _is_wanted(each, criteria)]
    later = [each for each in found if criteria.after is None or int(each.hcode) > criteria.after]
    shown = later[: criteria.count]
    return Page(
        [organization(each) for each in shown],
        next=int(shown[-1].hcode) if len(later) > len(shown) else None,
    )


def _is_wanted(hospital: Hospital, criteria: Criteria) -> bool:
    codes = criteria.tokens.get("identifier", ())
    names = criteria.strings.get("name", ())
    name = f"{hospital.name_th} {hospital.name_en}".lower()
    return (
        (criteria.ids is None or hospital.hcode in criteria.ids)
        and (not codes or any((each.system or HCODE, each.code) == (HCODE, hospital.hcode) for each in codes))
        and (not names or any(each.lower() in name for each in names))
    )


def _read_endpoint(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    if number != ENDPOINT:
        raise NotFound(f"no Endpoint {number!r}")
    return Page([endpoint(base.removesuffix("/fhir"))])


def _search_endpoints(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    wanted = criteria.ids is None or ENDPOINT in criteria.ids
    return Page([endpoint(base.removesuffix("/fhir"))] if wanted else [])


def _read_device(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    start = check_device_id(number)
    query = select(Analysis).where(Analysis.model_digest.startswith(start)).order_by(Analysis.id.desc())
    analysis = session.scalars(query.limit(1)).first()
    if analysis is None:
        raise NotFound(f"no Device {number!r}")
    return Page([device(analysis)])


def _search_devices(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    digests = session.scalars(select(Analysis.model_digest).distinct().order_by(Analysis.model_digest)).all()
    pages = [_read_device(session, viewer, each[:32], base) for each in digests]
    made = [one for page in pages for one in page.resources]
    return Page([each for each in made if criteria.ids is None or each["id"] in criteria.ids])


def _read_request(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    return read_referral(session, viewer, "ServiceRequest", number)


def _search_requests(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    return search_referrals(session, viewer, criteria, criteria.after, criteria.count)


_OF_A_STUDY: Mapping[str, Callable[[Session, Told], Resource | None]] = {
    "ImagingStudy": _imaging_study,
    "DiagnosticReport": lambda _, told: diagnostic_report(told),
    "Provenance": lambda _, told: provenance(told),
}
_READ: Mapping[str, Callable[[Session, Viewer, str, str], Page]] = {
    "Patient": _read_patient,
    "Observation": _read_observation,
    "Organization": _read_organization,
    "Endpoint": _read_endpoint,
    "Device": _read_device,
    "ServiceRequest": _read_request,
    "Task": read_task,
    "Subscription": read_subscription,
    "Communication": read_communication,
    "DocumentReference": read_document,
}
_SEARCH: Mapping[str, Callable[[Session, Viewer, Criteria, str], Page]] = {
    "Organization": _search_organizations,
    "Endpoint": _search_endpoints,
    "Device": _search_devices,
    "ServiceRequest": _search_requests,
    "Task": search_tasks,
    "Subscription": search_subscriptions,
    "Communication": search_communications,
    "DocumentReference": search_documents,
}
