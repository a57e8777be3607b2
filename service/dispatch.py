"""Dispatch: sees to it that what is due to leave has a job: deliveries, commitments, reports, alerts."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine

from pacs_gateway.inbox import Inbox
from service import alert_deliveries, deliveries, delivery_commitments
from service.consult_clock import ConsultClock
from service.data_set_orders import waiting_orders
from service.db import now, session_scope
from service.handovers import waiting_handovers
from service.heralds import Herald
from service.ladders import ROUND, Ladder
from service.notifications import FORGOTTEN_AT_ONCE, forget_notifications, subscriptions_due
from service.orders import Orders
from service.referral_alerts import late_referrals, tell_late
from service.referral_links import link_requests, neighbours_due, unlinked_requests
from service.replies import waiting_replies
from service.returning import unreported_signatures
from service.uploads import waiting_uploads

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
FORGET_EVERY = timedelta(hours=1)


class Dispatch:
    """Makes good what a lost wake-up call would leave lying; any number of processes may run it.

    Args:
        engine: The rows.
        orders: The way to the job engine.
        inbox: Where the listener leaves what destinations report on what they were asked to commit to.
        ladder: Takes alerts further.
        consults: Tells of those that are late.
        notification_days: How long calls of subscribers are kept.
        clock: Now; only tests give another.
    """

    def __init__(
        self,
        engine: Engine,
        orders: Orders,
        inbox: Inbox,
        clock: Callable[[], datetime] = now,
        *,
        ladder: Ladder | None = None,
        consults: ConsultClock | None = None,
        notification_days: int = 400,
    ) -> None:
        self._engine = engine
        self._orders = orders
        self._inbox = inbox
        self._clock = clock
        self._ladder = ladder or Ladder(engine, clock=clock)
        self._consults = consults or ConsultClock(engine, clock=clock)
        self._herald = Herald(engine, clock=clock)
        self._notification_days = notification_days
        self._forgot_at: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a round that fails is logged and tried again."""
        while not stop.wait(LOOK_SECONDS):
            looks = (self.alert, self.tell_late, self.notify, self.tell_neighbours, self.round, self.forget)
            for look in looks:
                try:
                    look()
                except Exception:  # one round must not end the dispatcher, nor one part of it the others
                    log.exception("dispatch round failed", extra={"part": look.__name__})

    def alert(self) -> list[str]:
        """Take alerts further; returns the lines for which a job was put in line."""
        while True:
            taken = self._ladder.climb()
            at = self._clock()
            with session_scope(self._engine, write=False) as session:
                lines = alert_deliveries.lines_due(session, at)
            for line in lines:
                self._orders.sweep_line(line, at)
            if len(taken) < ROUND:
                return lines

    def notify(self) -> list[int]:
        """Put what has happened in line for its subscribers; returns those for whom a job was put in line."""
        self._herald.look()
        at = self._clock()
        with session_scope(self._engine, write=False) as session:
            due = subscriptions_due(session, at)
        for each in due:
            self._orders.sweep_subscription(each, at)
        return due

    def forget(self) -> int:
        """Once an hour, throw away old calls of subscribers; returns how many went."""
        at, gone = self._clock(), 0
        if self._forgot_at is not None and at - self._forgot_at < FORGET_EVERY:
            return gone
        while True:
            with session_scope(self._engine) as session:
                went = forget_notifications(session, at, days=self._notification_days)
            gone += went
            if went < FORGOTTEN_AT_ONCE:
                break
        self._forgot_at = at
        if gone:
            log.info("old calls of subscribers thrown away", extra={"calls": gone})
        return gone

    def tell_late(self) -> None:
        """Raise an alert for each consult and referral that nobody answers in time."""
        self._consults.look()
        at = self._clock()
        with session_scope(self._engine, write=False) as session:
            unanswered = late_referrals(session, at)
        for number in unanswered:
            with session_scope(self._engine) as session:
                tell_late(session, number, at)

    def tell_neighbours(self) -> list[str]:
        """Have other hubs told of referrals that they share; returns those with a job in line."""
        at = self._clock()
        with session_scope(self._engine, write=False) as session:
            new = unlinked_requests(session, at)
        if new:
            with session_scope(self._engine) as session:
                link_requests(session, at)
        with session_scope(self._engine, write=False) as session:
            names = neighbours_due(session, at)
        for name in names:
            self._orders.sweep_neighbour(name, at)
        return names

    def round(self) -> list[str]:
        """One look; returns the destinations for which a job was put in line."""
        at = self._clock()
        self._take_reports(at)
        with session_scope(self._engine, write=False) as session:
            late = deliveries.any_late(session, at)
            due = {*deliveries.peers_due(session, at), *delivery_commitments.peers_to_ask(session, at)}
            peers = sorted(due)
            unreported = unreported_signatures(session)
            handovers = waiting_handovers(session)
            replies = waiting_replies(session)
            uploads = waiting_uploads(session)
            data_sets = waiting_orders(session)
        if late:
            with session_scope(self._engine) as session:
                deliveries.expire_old(session, at)
        for each in handovers:
            self._orders.hand_over(each)
        for each in replies:
            self._orders.reply(each)
        for number in uploads:
            self._orders.unpack(number)
        for number in data_sets:
            self._orders.freeze(number)
        for each in unreported:
            self._orders.sign(each["study"], each["revision"], each["review"])
        for peer in peers:
            self._orders.sweep(peer, at)
        return peers

    def _take_reports(self, at: datetime) -> None:
        """The row first, then the listener's note of it: a report taken twice changes nothing."""
        for report in self._inbox.commitments.reports():
            failed = {uid for uid, _ in report.failed}
            with session_scope(self._engine) as session:
                delivery_commitments.take_report(session, report.transaction_uid, failed, at)
            self._inbox.commitments.take_report(report.number)
