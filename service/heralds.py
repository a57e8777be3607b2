"""Herald: finds out what has happened since it last looked, and puts it in line for those who subscribe.

The audit log is the source, as for every event, and each subscription keeps the number of the last entry that
was looked at for it. So a hub that was down tells afterwards what happened meanwhile, and nothing twice.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
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
Plans = Mapping[int, tuple[int, Plan | None]]
"""By the subscription's number: how far it had been looked at, and what is to be told it; None ends it."""


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
            self._write(plans, last)
        return queued, last - start >= BATCH

    def _plan(self, session: Session, subscription: Subscription, events: Sequence[Event]) -> Plan | None:
        """What is to be told; None where the subscription ends."""
        if subscription.ends_at is not None and subscription.ends_at <= self._clock():
            return None
        concerned = _concerning(subscription, events)
        viewer = owner_of(session, subscription) if concerned else None
        if viewer is None:
            return None if concerned else []
        made: list[tuple[int, dict[str, Any]]] = []
        for event in concerned:
            if not event.seen_by(viewer):
                continue
            found = happening(session, viewer, event)
            if found is None:
                continue
            if subscription.form is Form.FHIR and not meets(session, viewer, subscription.criteria, event):
                continue
            made.append((event.number, found.told()))
        return made

    def _write(self, plans: Plans, last: int) -> None:
        """Put all in line in one transaction, as each costs a write to the disk."""
        at = self._clock()
        with session_scope(self._engine) as session:
            query = select(Subscription).where(Subscription.id.in_(plans)).order_by(Subscription.id)
            for subscription in session.scalars(locked(query)).all():
                heard, plan = plans[subscription.id]
                # another process, or its owner, may have been there first
                if subscription.state is not SubscriptionState.ACTIVE or subscription.heard != heard:
                    continue
                if plan is None:
                    self._end(session, subscription, at)
                    continue
                self._queue(session, subscription, plan, at)
                subscription.heard = max(last, heard)

    def _queue(self, session: Session, subscription: Subscription, plan: Plan, at: datetime) -> None:
        room = MOST_WAITING - waiting_for(session, subscription.id) if plan else 0
        if len(plan) > room:
            untold = {"subscription": subscription.id, "untold": len(plan) - room}
            log.warning("a subscriber is too far behind", extra=untold)
        for event, told in plan[: max(room, 0)]:
            queue_notification(session, subscription, event, told, at)

    def _end(self, session: Session, subscription: Subscription, at: datetime) -> None:
        if subscription.ends_at is not None and subscription.ends_at <= at:
            subscription.state = SubscriptionState.OFF
            subscription.version, subscription.changed_at = subscription.version + 1, at
            record(session, HUB, "off", subscription)
        else:
            give_up(session, subscription, CLOSED)
        withdraw_notifications(session, subscription)


def _concerning(subscription: Subscription, events: Sequence[Event]) -> Sequence[Event]:
    """The events that it asks for, whoever may see them."""
    new = [each for each in events if each.number > subscription.heard]
    if subscription.form is Form.FHIR:
        return _newest(new)
    topics = set(subscription.topics)
    return [each for each in new if topics_of(each) & topics]


def _newest(events: Sequence[Event]) -> Sequence[Event]:
    """The last event about each thing: an empty call for an earlier one would lead to the same answer."""
    last = {(each.study, tuple(sorted(each.ids.items()))): each for each in events}
    return sorted(last.values(), key=lambda each: each.number)
