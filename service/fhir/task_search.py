"""Reading and searching Tasks: those of referrals, and those of consults."""

from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.fhir.consult_search import read_consult_task, search_consults
from service.fhir.criteria import Criteria
from service.fhir.page import Page
from service.fhir.referral_search import read_referral, search_referrals
from service.fhir.turns import in_turn


def read_task(session: Session, viewer: Viewer, number: str, base: str) -> Page:
    """One Task.

    Raises:
        NotFound: there is none that the viewer may see.
    """
    if is_consult(number):
        return read_consult_task(session, viewer, number)
    return read_referral(session, viewer, "Task", number)


def search_tasks(session: Session, viewer: Viewer, criteria: Criteria, base: str) -> Page:
    """Referrals, newest first, then consults, newest first."""
    return in_turn(
        [
            lambda after, count: search_referrals(session, viewer, criteria, after, count),
            lambda after, count: search_consults(session, viewer, criteria, after, count),
        ],
        count=criteria.count,
        after=criteria.after,
    )


def is_consult(task_id: str) -> bool:
    """Whether a Task's id is a consult's."""
    return task_id.startswith("c")
