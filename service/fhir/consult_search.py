"""Reading and searching the Tasks of consults: what a hospital asks, and what it is asked."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.arrivals import clean
from service.consult_states import ConsultState
from service.consults import Consult, concerns, find_consult
from service.errors import NotFound
from service.fhir.about import about, of_patients
from service.fhir.consult import RECEIVED, STATUS, consult_task
from service.fhir.consult_terms import CONSULTATION
from service.fhir.criteria import Criteria, Token
from service.fhir.elements import Resource
from service.fhir.page import Page
from service.fhir.turns import row_numbers
from service.sight import visible_studies
from service.studies import Study


def consult_number(task_id: str) -> int:
    """The consult's number in a Task's id.

    Raises:
        NotFound: it is no such id.
    """
    found = row_numbers("c", [task_id])
    if not found:
        raise NotFound(f"no consult {task_id!r}")
    return found[0]


def read_consult_task(session: Session, viewer: Viewer, task_id: str) -> Page:
    """One consult; a machine that reads it has not thereby opened it, and no clock stops.

    Raises:
        NotFound: there is none that concerns the viewer's hospital, or the role neither asks nor advises.
    """
    if not viewer.may(Permission.ASK):
        raise NotFound(f"no Task {task_id!r}")
    consult = find_consult(session, consult_number(task_id), viewer)
    return Page([told_consult(session, viewer, consult)], [consult.study_id])


def search_consults(
    session: Session, viewer: Viewer, criteria: Criteria, after: int | None, count: int
) -> Page:
    """Consults, newest first; none for a role that neither asks nor advises."""
    if not viewer.may(Permission.ASK):
        return Page([])
    query = select(Consult).where(concerns(viewer), *_conditions(session, viewer, criteria))
    if after is not None:
        query = query.where(Consult.id < after)
    found = session.scalars(query.order_by(Consult.id.desc()).limit(count + 1)).all()
    shown = found[:count]
    known = about(session, viewer, (each.study_id for each in shown))
    return Page(
        [consult_task(each, known.get(each.study_id)) for each in shown],
        [each.study_id for each in shown],
        shown[-1].id if len(found) > count else None,
    )


def told_consult(session: Session, viewer: Viewer, consult: Consult) -> Resource:
    """A consult as its Task, as the viewer may see it."""
    return consult_task(consult, about(session, viewer, [consult.study_id]).get(consult.study_id))


def _conditions(session: Session, viewer: Viewer, criteria: Criteria) -> list[ColumnElement[bool]]:
    made = [or_(false(), *(_token(name, each) for each in all_)) for name, all_ in criteria.tokens.items()]
    for name, ids in criteria.references.items():
        if name in ("patient", "subject"):
            made.append(of_patients(session, viewer, Consult.study_id, ids))
        else:
            made.append(_reference(viewer, name, [clean(each) for each in ids]))
    return made


def _token(name: str, token: Token) -> ColumnElement[bool]:
    if name == "_id":
        return Consult.id.in_(row_numbers("c", [token.code]))
    if name == "code":
        known = token.system in (None, CONSULTATION["system"])
        return true() if known and token.code == CONSULTATION["code"] else false()
    if token.code == RECEIVED:
        return and_(Consult.state == ConsultState.ASKED, Consult.opened_at.is_not(None))
    if token.code == STATUS[ConsultState.ASKED]:
        return and_(Consult.state == ConsultState.ASKED, Consult.opened_at.is_(None))
    return Consult.state.in_([state for state, word in STATUS.items() if word == token.code])


def _reference(viewer: Viewer, name: str, ids: Sequence[str]) -> ColumnElement[bool]:
    if name == "focus":
        seen = select(Study.id).where(Study.study_instance_uid.in_(ids), visible_studies(viewer))
        return Consult.study_id.in_(seen)
    if name == "requester":
        return Consult.hcode.in_(ids)
    return Consult.to_hcode.in_(ids) if name == "owner" else false()
