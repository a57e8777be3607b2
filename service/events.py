"""Event: an entry of the audit log as those hear of it who wait: something changed, and where to look.

The audit log is the one record of what was done, in order and without gaps, so it is also the source of
events: an event's number is its entry's, and whoever says the last number they have seen misses nothing. An
event holds ids and closed words, never a patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.audit import AuditEntry, AuditHead
from service.studies import Study
from service.verdicts import Verdict

KINDS: Final = frozenset({"study", "review", "report", "alert", "consult", "referral", "delivery"})
"""The first word of the entries that are events."""
LOOKS: Final = frozenset({"read", "list", "search"})
"""Last words of entries that say that somebody looked: they change nothing."""
REVIEWS: Final = frozenset(Verdict) | {"signed"}
"""What the log says of a study where it means its review."""
HOSPITALS: Final = ("hcode", "hospital", "from", "to")
"""Names under which an entry's detail names the hospitals concerned."""
NUMBERS: Final = ("alert", "consult", "referral", "delivery", "revision")
"""Ids in an entry's detail that an event passes on."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed."""

    number: int
    kind: str
    what: str
    """What became of it: flagged, signed, accepted, ..."""
    study: str | None
    """Study Instance UID."""
    hospitals: frozenset[str]
    ids: Mapping[str, int]
    at: datetime

    def seen_by(self, viewer: Viewer) -> bool:
        """Whether it concerns a hospital that the viewer may see."""
        return viewer.sees_region or (viewer.hcode or "") in self.hospitals

    def told(self) -> dict[str, Any]:
        """As sent."""
        return {"what": self.what, "study": self.study, "at": self.at.isoformat(), **self.ids}


def head_of(session: Session) -> int:
    """The number of the newest entry."""
    return session.scalars(select(AuditHead.entries)).one()


def events_after(session: Session, number: int, *, limit: int) -> tuple[Sequence[Event], int]:
    """The events among the `limit` entries after a number.

    Returns:
        The events, and the number of the last entry that was looked at.
    """
    rows = session.execute(
        select(AuditEntry, Study.study_instance_uid, Study.hcode)
        .outerjoin(Study, Study.id == AuditEntry.study_id)
        .where(AuditEntry.id > number)
        .order_by(AuditEntry.id)
        .limit(limit)
    ).all()
    made = [_event(entry, uid, hcode) for entry, uid, hcode in rows]
    return [each for each in made if each is not None], rows[-1][0].id if rows else number


def _event(entry: AuditEntry, uid: str | None, hcode: str | None) -> Event | None:
    kind, _, what = entry.action.partition(".")
    if kind not in KINDS or what in LOOKS:
        return None
    named = {str(entry.detail[name]) for name in HOSPITALS if entry.detail.get(name)}
    return Event(
        number=entry.id,
        kind="review" if kind == "study" and what in REVIEWS else kind,
        what=what,
        study=uid,
        hospitals=frozenset(named | ({hcode} if hcode else set())),
        ids={name: entry.detail[name] for name in NUMBERS if isinstance(entry.detail.get(name), int)},
        at=entry.at,
    )
