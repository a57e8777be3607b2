"""Subscriptions in any order of deeds: no state outside the table, no call while off, nothing told twice."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from service.accounts import Viewer
from service.db import session_scope
from service.errors import NotFound
from service.happenings import Topic
from service.notifications import NotificationState
from service.subscriptions import (
    Subscription,
    SubscriptionState,
    find_subscription,
    remove_subscription,
    switch_off,
    switch_on,
)
from tests.service.test_subscriptions import OWNER, THERE, Office
from tests.stand_in import Posted, StandIn, stand_in

S = SubscriptionState
DEEDS = {"off": switch_off, "on": switch_on, "remove": remove_subscription}
MAY = {
    "off": {(S.ACTIVE, S.OFF), (S.ERROR, S.OFF)},
    "on": {(S.OFF, S.ACTIVE), (S.ERROR, S.ACTIVE)},
    "remove": {(S.ACTIVE, S.OFF), (S.ERROR, S.OFF)},
    "hub": {(S.ACTIVE, S.ERROR), (S.ACTIVE, S.OFF)},
}
"""What each may change; `docs/fhir.md` says the same in words."""


class Journey(RuleBasedStateMachine):
    """An owner, a stranger, a receiver of many moods, and time."""

    office: Office
    there: StandIn
    count = 0

    @initialize()
    def begin(self) -> None:
        Journey.count += 1
        self.path, self.says = f"/{Journey.count}", 204
        self.number = self.office.subscribe(self.there.url + self.path, Topic.FLAGGED)
        self.seen, self.removed = S.ACTIVE, False
        self.wanted: list[str] = []
        self.taken: list[str] = []
        self.there.answer = self.answered

    def answered(self, posted: Posted) -> tuple[int, dict[str, str], str]:
        if posted.path != self.path:
            return 204, {}, ""
        assert self.row().state is S.ACTIVE, "called while it is off"
        if self.says == 204:
            self.taken.append(posted.json["study"])
        return self.says, {}, ""

    def row(self) -> Subscription:
        return self.office.subscription(self.number)

    def changed(self, by: str) -> None:
        now_ = self.row().state
        if now_ is not self.seen:
            assert (self.seen, now_) in MAY[by], by
        self.seen = now_

    @rule()
    def a_study_is_flagged(self) -> None:
        uid = f"1.2.{Journey.count}.{len(self.wanted) + 1}"
        self.office.flag(uid)
        self.wanted.append(uid)

    @rule(status=st.sampled_from([204, 204, 404, 503, 410]))
    def the_receiver_changes_its_mood(self, status: int) -> None:
        self.says = status

    @rule(hours=st.sampled_from([0, 0, 1, 25]))
    def the_hub_looks(self, hours: int) -> None:
        self.office.at += timedelta(hours=hours)
        self.office.herald.look()
        self.office.notifier.notify({"subscription": self.number})
        self.changed("hub")

    @rule(what=st.sampled_from(["off", "on", "on", "remove"]), viewer=st.sampled_from([OWNER, OWNER, THERE]))
    def somebody_acts(self, what: str, viewer: Viewer) -> None:
        with session_scope(self.office.engine) as session:
            try:
                found = find_subscription(session, self.number, viewer, lock=True)
            except NotFound:
                assert viewer is THERE or self.removed
                return
            DEEDS[what](session, viewer, found)
        assert viewer is OWNER
        self.removed = self.removed or what == "remove"
        self.changed(what)

    @invariant()
    def an_error_is_said_exactly_where_there_is_one(self) -> None:
        if hasattr(self, "number"):
            assert bool(self.row().error) is (self.row().state is S.ERROR)

    def teardown(self) -> None:
        if not hasattr(self, "number"):
            return
        assert len(set(self.taken)) == len(self.taken), "told twice"
        assert set(self.taken) <= set(self.wanted)
        rows = self.office.notifications(self.number)
        delivered = [each.told["study"] for each in rows if each.state is NotificationState.DELIVERED]
        assert sorted(delivered) == sorted(self.taken)
        self.says = 204
        if not self.removed:
            self.somebody_acts("remove", OWNER)


@pytest.mark.one_database  # what differs between databases is tested with the verbs
def test_no_sequence_of_deeds_leaves_the_table_or_tells_twice(engine: Engine) -> None:
    quick = settings(
        max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    with stand_in() as there:
        Journey.office, Journey.there = Office(engine), there
        run_state_machine_as_test(Journey, settings=quick)  # type: ignore[no-untyped-call]
