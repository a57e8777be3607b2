"""Reading and searching ServiceRequests and Tasks: the referrals that a hospital sends or is sent."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.arrivals import clean
from service.errors import NotFound
from service.fhir.about import of_patients
from service.fhir.criteria import Criteria, Token
from service.fhir.elements import Resource, reference
from service.fhir.page import Page
from service.fhir.patient import patient_number
from service.fhir.referral import FULFILL, HIDDEN, REQUEST_STATUS, read_referral_id, service_request, task
from service.referral_states import TASK_STATUS, ReferralState
from service.referrals import Referral, find_referral, seen_by, shows_patient
from service.studies import Study


def read_referral(session: Session, viewer: Viewer, kind: str, number: str) -> Page:
    """One referral as a ServiceRequest or a Task.

    Raises:
        NotFound: there is none that the viewer may see.
    """
    referral = find_referral(session, read_referral_id(number), viewer)
    return Page([told(session, viewer, kind, referral)], [referral.study_id])


def search_referrals(
    session: Session, viewer: Viewer, criteria: Criteria, after: int | None, count: int
) -> Page:
    """Referrals, newest first."""
    query = select(Referral).where(seen_by(viewer), *_conditions(session, viewer, criteria))
    if after is not None:
        query = query.where(Referral.id < after)
    found = session.scalars(query.order_by(Referral.id.desc()).limit(count + 1)).all()
    shown = found[:count]
    return Page(
        [told(session, viewer, criteria.kind, each) for each in shown],
        [each.study_id for each in shown],
        shown[-1].id if len(found) > len(shown) else None,
    )


def told(session: Session, viewer: Viewer, kind: str, referral: Referral) -> Resource:
    """A referral as a resource of a kind; without the patient where the viewer may no longer see them."""
    shown = shows_patient(referral, viewer)
    study = session.get_one(Study, referral.study_id)
    subject = reference("Patient", f"p{patient_number(session, study)}") if shown else HIDDEN
    if kind == "Task":
        return task(referral, subject=subject)
    return service_request(referral, subject=subject, study_uid=study.study_instance_uid if shown else None)


def _conditions(session: Session, viewer: Viewer, criteria: Criteria) -> list[ColumnElement[bool]]:
    made = [or_(*map(_TOKENS[name](criteria.kind), tokens)) for name, tokens in criteria.tokens.items()]
    for name, ids in criteria.references.items():
        if name in ("patient", "subject"):
            made.append(of_patients(session, viewer, Referral.study_id, ids))
        else:
            made.append(_REFERENCES[name](ids))
    return made


def _of_id(kind: str) -> Callable[[Token], ColumnElement[bool]]:
    def condition(token: Token) -> ColumnElement[bool]:
        try:
            return Referral.id == read_referral_id(token.code)
        except NotFound:
            return false()

    return condition


def _of_status(kind: str) -> Callable[[Token], ColumnElement[bool]]:
    words = TASK_STATUS if kind == "Task" else REQUEST_STATUS

    def condition(token: Token) -> ColumnElement[bool]:
        return Referral.state.in_([state for state in ReferralState if words[state] == token.code])

    return condition


def _of_number(kind: str) -> Callable[[Token], ColumnElement[bool]]:
    return lambda token: Referral.serial == clean(token.code)


def _of_code(kind: str) -> Callable[[Token], ColumnElement[bool]]:
    """Of the Task: fulfil what is asked, where a consult's is a consultation."""
    return lambda token: true() if token.code == FULFILL else false()


_TOKENS: Mapping[str, Callable[[str], Callable[[Token], ColumnElement[bool]]]] = {
    "_id": _of_id,
    "status": _of_status,
    "identifier": _of_number,
    "code": _of_code,
}


def _in_ids(ids: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(_of_id("")(Token(None, each)) for each in ids))


_REFERENCES: Mapping[str, Callable[[Sequence[str]], ColumnElement[bool]]] = {
    "requester": lambda ids: Referral.from_hcode.in_(ids),
    "performer": lambda ids: Referral.to_hcode.in_(ids),
    "owner": lambda ids: Referral.to_hcode.in_(ids),
    "focus": _in_ids,
    "based-on": _in_ids,
}
