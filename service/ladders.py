"""Ladder: takes every alert that is due one hop further, until somebody answers.

Hop 0 tells the first on call and the hospital as a whole, hop 1 the second as well, hop 2 everybody on call
there and the first at the hub hospital, every later hop everybody at both. The rows are the truth: a hop and
its messages are written in one transaction, so a restart neither leaves one out nor takes it twice.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service import audit
from service.alert_deliveries import note_in_app, queue_message
from service.alert_states import AlertMove, AlertState, alert_after
from service.alerts import CALM, OF_STUDY, Alert, close_sight
from service.contacts import Contact, contacts_of_hospital, contacts_of_people
from service.db import now, session_scope
from service.grants import Because, grant_study
from service.hubs import hub_of
from service.quiet import Limits, Rule, morning, quiet_rule, thai_minute
from service.rosters import Duty, on_duty
from service.specialties import Specialty
from service.states import Lane
from service.studies import HUB, Study

ROUND: Final = 25
"""Alerts that one round takes at most."""
GIVE_UP_AFTER: Final = timedelta(hours=1)
"""So long the last hop is repeated; then the alert stands unanswered on the pages."""
HUB_HOP: Final = 2
"""From this hop on the hub hospital is told too."""

Told = tuple[str, Contact]
"""A contact, and whose it is: a username or a hospital's code."""


class Ladder:
    """Decides whom an alert goes to next; `service.messengers` carries it there.

    Args:
        engine: The rows.
        minutes: After how many minutes each hop after the first is taken; the last distance is repeated.
        limits: What a hospital's people can bear.
        clock: Now; only tests give another.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        minutes: Sequence[int] = (2, 5, 10),
        limits: Limits | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._minutes = tuple(minutes)
        self._limits = limits or Limits()
        self._clock = clock

    def climb(self) -> list[int]:
        """Take every alert that is due one hop further, each in a transaction; returns their numbers."""
        at = self._clock()
        with session_scope(self._engine, write=False) as session:
            due = session.scalars(
                select(Alert)
                .where(Alert.state == AlertState.RINGING, Alert.next_at <= at)
                .order_by(Alert.next_at)
                .limit(ROUND)
            ).all()
            taken = [(each.id, each.study_id) for each in due]
        for number, study_id in taken:
            with session_scope(self._engine) as session:
                self._hop(session, number, study_id, at)
        return [number for number, _ in taken]

    def _hop(self, session: Session, number: int, study_id: int, at: datetime) -> None:
        # the study first, as everybody takes them: a hop may have it shown to the hub hospital
        session.get_one(Study, study_id, with_for_update={"read": True, "key_share": True})
        alert = session.get_one(Alert, number, with_for_update=True)
        # another worker, or somebody's answer, may have been there first
        if alert.state is not AlertState.RINGING or alert.next_at is None or alert.next_at > at:
            return
        if alert.hop > len(self._minutes) and at - alert.raised_at >= GIVE_UP_AFTER:
            self._give_up(session, alert, at)
            return
        rule = quiet_rule(session, alert, self._limits, at) if alert.hop == 0 and not alert.quiet else None
        if rule is Rule.NIGHT:
            alert.quiet, alert.next_at = rule.value, morning(at)
            return
        if rule is not None:
            alert.quiet = rule.value
        alert.hop = self._reached(alert, at)
        self._tell(session, alert, at, pages_alone=rule is not None)
        alert.hop += 1
        if alert.kind in CALM or rule is Rule.REPEATED:
            alert.state, alert.next_at = alert_after(alert.state, AlertMove.TELL), None
        else:
            alert.next_at = self._due(alert)

    def _tell(self, session: Session, alert: Alert, at: datetime, *, pages_alone: bool) -> None:
        hop = alert.hop
        chosen, hub = _whom(session, alert, hop, at)
        alert.hub = hub or alert.hub
        note_in_app(session, alert.id, hop, alert.hcode, f"event alert.{'raised' if hop == 0 else 'hop'}", at)
        if hub and hop:
            note_in_app(session, alert.id, hop, hub, "event alert.hop", at)
        if hub and alert.kind in OF_STUDY:
            self._show(session, alert, hub)
        if not pages_alone:
            for told, contact in chosen:
                queue_message(session, alert.id, hop, contact, told, at)
        if hop:
            detail: audit.Detail = {"alert": alert.id, "hcode": alert.hcode, "hop": hop, "to": alert.hub}
            audit.record(session, HUB, "alert.hop", study_id=alert.study_id, detail=detail)

    def _show(self, session: Session, alert: Alert, hub: str) -> None:
        """Let the hub hospital open the study that it is told of."""
        if session.get_one(Study, alert.study_id).hcode != hub:
            grant_study(session, alert.study_id, hub, because=Because.ALERT, subject=alert.id, actor=HUB)

    def _reached(self, alert: Alert, at: datetime) -> int:
        """The hop that it is time for: a hub that stood still leaves out those that it slept through."""
        if alert.kind in CALM:
            return alert.hop
        elapsed = at - alert.raised_at
        return max(alert.hop, sum(timedelta(minutes=each) <= elapsed for each in self._minutes))

    def _due(self, alert: Alert) -> datetime:
        """When the hop after those taken is due; after the last the same distance again and again."""
        steps, taken = self._minutes, alert.hop
        if taken <= len(steps):
            return alert.raised_at + timedelta(minutes=steps[taken - 1])
        return alert.raised_at + timedelta(minutes=steps[-1] * (taken - len(steps) + 1))

    def _give_up(self, session: Session, alert: Alert, at: datetime) -> None:
        alert.state, alert.next_at = alert_after(alert.state, AlertMove.GIVE_UP), None
        close_sight(session, alert, HUB, at)
        detail: audit.Detail = {"alert": alert.id, "hcode": alert.hcode, "to": alert.hub}
        audit.record(session, HUB, "alert.unanswered", study_id=alert.study_id, detail=detail)


def unreached(session: Session, at: datetime, *, days: int = 30) -> list[str]:
    """Hospitals with a live study of the last days where nobody would hear of a flag at this moment."""
    since = at - timedelta(days=days)
    recent = select(Study.hcode).where(
        Study.hcode.is_not(None), Study.lane == Lane.LIVE, Study.first_received_at > since
    )
    found = []
    for hcode in session.scalars(recent.distinct().order_by(Study.hcode)):
        hub = hub_of(session, hcode or "")
        hops = [_reach(session, each, HUB_HOP, at) for each in (hcode, hub) if each]
        if hcode and not any(hops):
            found.append(hcode)
    return found


def _whom(session: Session, alert: Alert, hop: int, at: datetime) -> tuple[list[Told], str | None]:
    """The contacts of a hop, and the hub hospital where that is told too.

    Where nobody at all can be reached at the hospital, the hub is told at once: no minute must pass in vain.
    """
    wanted = alert.specialty
    chosen = _reach(session, alert.hcode, hop, at, wanted)
    if chosen and hop < HUB_HOP:
        return chosen, None
    hub = hub_of(session, alert.hcode)
    if hub is None:
        return chosen, None
    behind = _reach(session, hub, max(hop - HUB_HOP, 0), at, wanted, whole=hop > HUB_HOP or not chosen)
    listed = {contact.id for _, contact in chosen}
    return [*chosen, *(each for each in behind if each[1].id not in listed)], hub


def _reach(
    session: Session,
    hcode: str,
    hop: int,
    at: datetime,
    wanted: Specialty | None = None,
    *,
    whole: bool = True,
) -> list[Told]:
    """The contacts at one hospital: those on call as far as this hop goes down the ladder, and its own."""
    duties = _first(on_duty(session, hcode, at), hop, wanted)
    names = {duty.account.id: duty.account.username for duty in duties}
    people = [(names[each.account_id or 0], each) for each in contacts_of_people(session, list(names))]
    own = [(hcode, each) for each in contacts_of_hospital(session, hcode)] if whole else []
    minute = thai_minute(at)
    return [each for each in (*people, *own) if not each[1].rests(minute)]


def _first(duties: Sequence[Duty], hop: int, wanted: Specialty | None) -> list[Duty]:
    """Those that a hop tells; on the first hops of the wanted specialty, where that is on call."""
    if wanted is not None and hop < HUB_HOP:
        duties = [each for each in duties if each.shift.specialty is wanted] or duties
    places = sorted({duty.shift.place for duty in duties})
    within = set(places if hop >= HUB_HOP else places[: hop + 1])
    return [duty for duty in duties if duty.shift.place in within]
