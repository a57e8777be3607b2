"""Happening: an event as subscribers hear of it: what it is about, and what they may be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.orm import Session

from service.accounts import Permission, Viewer
from service.alerts import find_alert
from service.case_numbers import case_number
from service.consults import find_consult
from service.errors import NotFound
from service.events import Event
from service.hospital_modes import Mode, mode_of
from service.referrals import find_referral
from service.sight import find_study
from service.states import OUTCOMES, StudyState
from service.studies import Study


class Topic(StrEnum):
    """What a subscriber may want to hear of."""

    RESULT = "result"
    """The AI has an answer, or says why it has none."""
    FLAGGED = "flagged"
    REVIEW = "review"
    """A radiologist has agreed, corrected or signed."""
    REPORT = "report"
    ALERT = "alert"
    CONSULT = "consult"
    REFERRAL = "referral"


_OUTCOMES: Final = frozenset(state.value for state in OUTCOMES)
_ROW: Final[Mapping[str, tuple[Permission, Callable[[Session, int, Viewer], object]]]] = {
    "alert": (Permission.ON_CALL, find_alert),
    "consult": (Permission.ASK, find_consult),
    "referral": (Permission.READ_IDENTITY, find_referral),
}
"""Who may see what an event of this kind is about, and how it is found for them."""
_PAGES: Final = {"alert": "alerts", "consult": "consults", "referral": "referrals"}


@dataclass(frozen=True, slots=True)
class Happening:
    """An event whose subject the viewer may see."""

    event: Event
    study: Study | None
    """None where the viewer may see the alert, the consult or the referral, but not the study."""

    def told(self) -> dict[str, Any]:
        """Ids, closed words and a path: nothing of a patient."""
        event, study = self.event, self.study
        uid = study.study_instance_uid if study else None
        folder = _PAGES.get(event.kind)
        path = f"/api/v1/{folder}/{event.ids[event.kind]}" if folder else f"/api/v1/studies/{uid}"
        return {
            "event": event.number,
            "kind": event.kind,
            "what": event.what,
            "at": event.at.isoformat(),
            "study": uid,
            "case": case_number(study.id) if study else None,
            **event.ids,
            "path": path,
        }


def topics_of(event: Event) -> frozenset[Topic]:
    """What an event is about; most of what the log has is about nothing that can be subscribed to."""
    if event.kind == "study":
        made = {Topic.RESULT} if event.what in _OUTCOMES else set()
        return frozenset(made | ({Topic.FLAGGED} if event.what == StudyState.FLAGGED else set()))
    return frozenset({Topic(event.kind)}) if event.kind in set(Topic) else frozenset()


def happening(session: Session, viewer: Viewer, event: Event) -> Happening | None:
    """The event for a viewer; None where they may not see what it is about.

    What the AI says of the studies of a hospital at which it only watches is told nobody.
    """
    study = _study(session, viewer, event)
    if event.kind not in _ROW:
        silent = event.kind == "study" and study is not None and mode_of(session, study.hcode) is Mode.SILENT
        return None if study is None or silent else Happening(event, study)
    permission, find = _ROW[event.kind]
    number = event.ids.get(event.kind)
    if number is None or not viewer.may(permission):
        return None
    try:
        find(session, number, viewer)
    except NotFound:
        return None
    return Happening(event, study)


def _study(session: Session, viewer: Viewer, event: Event) -> Study | None:
    if event.study is None or not viewer.may(Permission.READ_STUDIES):
        return None
    try:
        return find_study(session, event.study, viewer)
    except NotFound:
        return None
