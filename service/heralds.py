"""Herald: finds out what has happened since it last looked, and puts it in line for those who subscribe.

The audit log is the source, as for every event, and each subscription keeps the number of the last entry that
was looked at for it. So a hub that was down tells afterwards what happened meanwhile, and nothing twice.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.db import locked, now, session_scope
from service.events import Event, events_after
from service.fhir.noticing import meets
from service.happenings import happening, topics_of
from service.notifications import (
    MOST_WAITING,
    queue_notification,
    waiting_for,
    withdraw_notifications,
)
from service.studies import HUB
from service.subscriptions import (
    Form,
    Subscription,
    SubscriptionState,
    active_subscriptions,
    give_up,
    owner_of,
    record,
)

log = logging.getLogger(__name__)

BATCH: Final = 500
"""Entries of the log that are looked at in one round."""
STRIDE: Final = 200
"""So many entries may pass that concern nobody before it is written down how far the look went."""
CLOSED: Final = "the account behind it was closed, or works for the hospital no more"

Plan = Sequence[tuple[int, dict[str, Any]]]
"""Numbers of events and what is told of them."""


class Herald:
    """Any number of processes may run it: each subscription's row says how far it was looked at.

    Args:
        engine: The rows.
        clock: Now; only tests give another.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._clock = clock

    def look(self) -> int:
        """Look until nothing new is there; returns how many notifications were put in line."""
        queued = 0
        while True:
            made, more = self._round()
            queued += made
            if not more:
                return queued

    def _round(self) -> tuple[int, bool]:
        plans: dict[int, tuple[int, Plan | None]] = {}
        with session_scope(self._engine, write=False) as session:
            subscriptions = active_subscriptions(session)
            if not subscriptions:
                return 0, False
            start = min(each.heard for each in subscriptions)
            events, last = events_after(session, start, limit=BATCH)
            for each in subscriptions:
                plans[each.id] = each.heard, self._plan(session, each, events)
        ended = any(plan is None for _, plan in plans.values())
        queued = sum(len(plan or ()) for _, plan in plans.values())
        if queued or ended or last - start >= STRIDE:
            for number, (heard, plan) in plans.items():
                self._write(number, heard, plan, last)
        return queued, last - start >= BATCH

    def _plan(self, session: Session, subscription: Subscription, events: Sequence[Event]) -> Plan | None:
        """What is to be told; None where the subscription ends."""
        if subscription.ends_at is not None and subscription.ends_at <= self._clock():
            return None
        viewer = owner_of(session, subscription)
        if viewer is None:
            return None
        made: list[tuple[int, dict[str, Any]]] = []
        for event in events if subscription.form is Form.HUB else _newest(events):
            if event.number <= subscription.heard or not event.seen_by(viewer):
                continue
            if subscription.form is Form.HUB and not topics_of(event) & set(subscription.topics):
                continue
            found = happening(session, viewer, event)
            if found is None:
                continue
            if subscription.form is Form.FHIR and not meets(session, viewer, subscription.criteria, event):
                continue
            made.append((event.number, found.told()))
        return made

    def _write(self, number: int, heard: int, plan: Plan | None, last: int) -> None:
        at = self._clock()
        with session_scope(self._engine) as session:
            subscription = session.scalars(
                locked(select(Subscription).where(Subscription.id == number))
            ).one()
            # another process, or its owner, may have been there first
            if subscription.state is not SubscriptionState.ACTIVE or subscription.heard != heard:
                return
            if plan is None:
                self._end(session, subscription, at)
                return
            room = MOST_WAITING - waiting_for(session, number) if plan else 0
            if len(plan) > room:
                log.warning(
                    "a subscriber is too far behind",
                    extra={"subscription": number, "untold": len(plan) - room},
                )
            for event, told in plan[: max(room, 0)]:
                queue_notification(session, subscription, event, told, at)
            subscription.heard = max(last, heard)

    def _end(self, session: Session, subscription: Subscription, at: datetime) -> None:
        if subscription.ends_at is not None and subscription.ends_at <= at:
            subscription.state = SubscriptionState.OFF
            subscription.version, subscription.changed_at = subscription.version + 1, at
            record(session, HUB, "off", subscription)
        else:
            give_up(session, subscription, CLOSED)
        withdraw_notifications(session, subscription)


def _newest(events: Sequence[Event]) -> Sequence[Event]:
    """The last event about each thing: an empty call for an earlier one would lead to the same answer."""
    last = {(each.study, tuple(sorted(each.ids.items()))): each for each in events}
    return sorted(last.values(), key=lambda each: each.number)
