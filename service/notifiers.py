"""Notifier: calls the receivers of subscriptions, one line each, and keeps the proof of every call.

A body holds ids, closed words and a link; of a FHIR subscription it is empty. It is signed as a webhook of
alerts is: `X-Hub-Signature: sha256=HEX` over timestamp, dot and body. `X-Hub-Notification` is the same when a
call is made again, so that a receiver can pass over what it has seen.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service import circuits
from service.arrivals import clean
from service.channels.fence import Fence
from service.channels.message import Later, Refused, Unreachable
from service.channels.posting import Poster
from service.channels.webhook import sign
from service.db import locked, now, session_scope
from service.failures import Failure
from service.notifications import (
    LONGEST_PROOF,
    Notification,
    NotificationState,
    line_of,
    next_look,
    next_notification,
    settle_notification,
    withdraw_notifications,
)
from service.steps import Step
from service.subscriptions import OFF_AFTER, Form, Subscription, SubscriptionState, give_up

log = logging.getLogger(__name__)

SLICE_SECONDS: Final = 60.0
GONE: Final = 410

Wake = Callable[[int, datetime | None], object]


@dataclass(frozen=True, slots=True)
class _Call:
    number: int
    address: str
    secret: str
    body: bytes
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    number: int
    said: str
    done: bool = False
    spare: bool = False
    """Whether the receiver is to be left alone for a while."""
    gone: bool = False


class Notifier:
    """Brings notifications to receivers.

    Args:
        engine: The rows.
        fence: Which addresses may be called.
        address: The hub's own address, before the path of a link.
        wake: Puts the next look at a subscription in line.
        clock: Now; only tests give another.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        fence: Fence,
        address: str,
        wake: Wake,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._fence = fence
        self._address = address.rstrip("/")
        self._wake = wake
        self._clock = clock
        self._poster = Poster(ours=False)

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `NOTIFY`; what a receiver does wrong is no failure of the job."""
        return (Step(self.notify, attempts=3, first_wait=2.0),)

    def notify(self, argument: dict[str, int]) -> None:
        """Call one receiver for all that is due (the job's step); then put the next look in line."""
        number, ends = argument["subscription"], time.monotonic() + SLICE_SECONDS
        call = self._turn(number, None)
        while call is not None:
            outcome = self._make(call)
            log.info(
                "subscriber called",
                extra={"subscription": number, "notification": call.number, "done": outcome.done},
            )
            call = self._turn(number, outcome, more=time.monotonic() < ends)
        with session_scope(self._engine) as session:
            moment = next_look(session, number)
        if moment is not None:
            self._wake(number, moment if moment > self._clock() else None)

    def give_up(self, failure: Failure) -> None:
        """A job broke on something unforeseen: the rows wait on, the receiver is spared for a while."""
        line = line_of(failure.argument["subscription"])
        with session_scope(self._engine) as session:
            circuits.note_failure(session, line, failure.error, self._clock())
        log.error("notifications stopped", extra={"line": line, "step": failure.step})

    def _turn(self, number: int, outcome: _Outcome | None, *, more: bool = True) -> _Call | None:
        """Write down what became of one call and take the next, in one transaction."""
        at = self._clock()
        with session_scope(self._engine) as session:
            found = session.scalars(locked(select(Subscription).where(Subscription.id == number))).one()
            if outcome is not None:
                _settle(session, found, outcome, at)
                session.flush()
            if found.state is not SubscriptionState.ACTIVE:
                withdraw_notifications(session, found)
                return None
            return self._next(session, found, at) if more else None

    def _next(self, session: Session, found: Subscription, at: datetime) -> _Call | None:
        while (row := next_notification(session, found.id, at)) is not None:
            row.attempts += 1
            if at - row.counts_from < OFF_AFTER:
                return _Call(
                    row.id, found.address, found.secret, self._body(found, row), tuple(found.headers)
                )
            settle_notification(row, NotificationState.EXPIRED, f"not in a day; last: {row.proof}", at)
            session.flush()
        return None

    def _body(self, found: Subscription, row: Notification) -> bytes:
        if found.form is Form.FHIR:
            return b""
        told: dict[str, Any] = {key: value for key, value in row.told.items() if key != "path"}
        link = f"{self._address}{row.told['path']}"
        return json.dumps(
            {"id": f"notification-{row.id}", "subscription": found.id, **told, "link": link}
        ).encode()

    def _make(self, call: _Call) -> _Outcome:
        moment = str(int(self._clock().timestamp()))
        headers = {
            name: value.strip() for name, _, value in (line.partition(":") for line in call.headers)
        } | {
            "X-Hub-Notification": f"notification-{call.number}",
            "X-Hub-Timestamp": moment,
            "X-Hub-Signature": f"sha256={sign(call.secret, moment, call.body)}",
        }
        try:
            opened = self._fence.open(call.address)
            answer = self._poster.post(
                opened.url, call.body, {**headers, "Host": opened.host}, name=opened.name
            )
            return _Outcome(call.number, f"HTTP {answer.status_code}", done=True)
        except Unreachable as error:
            return _Outcome(call.number, str(error), spare=True)
        except Later as error:
            return _Outcome(call.number, str(error))
        except Refused as error:
            return _Outcome(call.number, str(error), gone=error.status == GONE)


def _settle(session: Session, found: Subscription, outcome: _Outcome, at: datetime) -> None:
    row = session.get_one(Notification, outcome.number, with_for_update=True)
    line = line_of(found.id)
    if outcome.done:
        # also where it was switched off while the call was on its way: what was delivered is so
        settle_notification(row, NotificationState.DELIVERED, outcome.said, at)
        circuits.note_success(session, line, at)
        found.failing_since = None
        return
    if row.state is not NotificationState.WAITING or found.state is not SubscriptionState.ACTIVE:
        return
    row.proof = clean(outcome.said)[:LONGEST_PROOF]
    row.next_at = at + circuits.wait_after(row.attempts)
    if outcome.spare:
        row.next_at = circuits.note_failure(session, line, outcome.said, at)
    found.failing_since = found.failing_since or at
    if outcome.gone:
        give_up(session, found, f"the receiver says that it is gone: {outcome.said}")
    elif at - found.failing_since >= OFF_AFTER:
        hours = int(OFF_AFTER.total_seconds() // 3600)
        give_up(session, found, f"no call has succeeded for {hours} hours; the last one: {outcome.said}")
