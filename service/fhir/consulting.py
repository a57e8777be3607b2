"""Ask another hospital, and move a consult on, by the Task that another system sends."""

from typing import Any

from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.consult_states import ConsultSide, ConsultState
from service.consults import Consult, accept, answer, ask, cancel, close, find_consult, note_opened, sides_of
from service.errors import Changed, IllegalTransition, Malformed, NotAllowed
from service.fhir.consult import consult_version
from service.fhir.consult_search import consult_number
from service.fhir.consult_sent import SentConsult, SentQuestion
from service.fhir.sent import read_sent
from service.sight import find_study


def ask_by_task(session: Session, viewer: Viewer, resource: Any) -> Consult:
    """Ask what a Task asks.

    Raises:
        Malformed: it is no consultation, or names no study, hospital or specialty in a way known here.
        NotFound: no such study or hospital for the viewer.
        NotAllowed, BadRequest, AlreadyExists: see `service.consults.ask`.
    """
    viewer.must(Permission.ASK)
    sent = read_sent(SentQuestion, resource)
    if not sent.is_consult:
        raise Malformed(
            "a Task is created for a consultation (SNOMED CT 11429006); refer by a ServiceRequest"
        )
    if not sent.study_uid:
        raise Malformed("Task.focus names no ImagingStudy, by address or by urn:dicom:uid")
    if not sent.to_hcode:
        raise Malformed("Task.owner names no Organization, by address or by the hospital's code")
    return ask(
        session,
        viewer,
        find_study(session, sent.study_uid, viewer),
        to_hcode=sent.to_hcode,
        specialty=sent.specialty,
        question=sent.description,
        details=sent.details(),
    )


def move_consult(
    session: Session, viewer: Viewer, task_id: str, resource: Any, *, version: int | None
) -> Consult:
    """Bring a consult to the status of a Task.

    Args:
        session: A writing session.
        viewer: Who asks.
        task_id: The id in the address.
        resource: The Task.
        version: Of the Task that the caller saw; None takes any.

    Raises:
        Malformed: the resource lacks something, or its id is another.
        NotFound: there is none for the viewer.
        NotAllowed: the viewer acts for the other side.
        Changed: somebody else was there first.
        IllegalTransition: the consult's state does not lead there.
    """
    viewer.must(Permission.ASK)
    sent = read_sent(SentConsult, resource)
    if sent.id != task_id:
        raise Malformed(f"Task.id is {sent.id[:64]!r}; the address says {task_id!r}")
    consult = find_consult(session, consult_number(task_id), viewer, lock=True)
    if version is not None and version != (current := consult_version(consult)):
        raise Changed(f"consult {consult.id} is {consult.state.value}, version {current}; you saw {version}")
    if sent.status == "received":
        _open(session, consult, viewer)
        return consult
    if sent.status == "accepted":
        return accept(session, consult.id, viewer)
    if sent.status == "in-progress":
        return answer(session, consult.id, viewer, sent.advice())
    if sent.status == "completed":
        outcome, ending = sent.outcome()
        return close(session, consult.id, viewer, outcome, ending)
    return cancel(session, consult.id, viewer, sent.words)


def _open(session: Session, consult: Consult, viewer: Viewer) -> None:
    if ConsultSide.ADVISER not in sides_of(consult, viewer):
        raise NotAllowed("only the adviser of a consult receives it")
    if consult.state is not ConsultState.ASKED:
        raise IllegalTransition(f"a consult that is {consult.state.value} cannot be received any more")
    note_opened(session, consult, viewer)
