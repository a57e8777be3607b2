"""The table of an alert's states, held by the code that moves it, whoever does what in whatever order."""

from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine

from service.accounts import Role, Viewer
from service.alert_states import WAYS, AlertMove, AlertState, alert_after, alert_table
from service.alerts import AlertKind, Withdrawal, acknowledge
from service.corrections import withdraw_flags
from service.db import session_scope
from service.errors import NotFound
from service.studies import Study
from tests.service.alerting import KUMPHAWAPI, Night
from tests.service.factories import LOEI, UDON

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
OWN = Viewer("first", Role.REFERRER, KUMPHAWAPI)
HUB_SPECIALIST = Viewer("hub-first", Role.SPECIALIST, UDON)
STRANGER = Viewer("stranger", Role.SPECIALIST, LOEI)
NEVER_AGAIN = (AlertState.ACKNOWLEDGED, AlertState.WITHDRAWN)


def test_the_table_in_docs_is_the_one_at_work() -> None:
    assert alert_table() in DOCS.read_text(encoding="utf-8")


def test_who_comes_second_changes_nothing() -> None:
    for state in NEVER_AGAIN:
        assert {alert_after(state, move) for move in AlertMove} == {state}


class Evening(RuleBasedStateMachine):
    """Time passes, people answer and radiologists disagree, in any order."""

    engine: Engine
    count = 0

    @initialize()
    def begin(self) -> None:
        Evening.count += 1
        self.night = Night(self.engine)
        self.uid = f"1.2.840.{Evening.count}"
        self.states: dict[int, AlertState] = {}
        self.something_happens(AlertKind.FLAG)

    @rule(kind=st.sampled_from([AlertKind.FLAG, AlertKind.CONSULT_ASKED, AlertKind.REFUSED_WORK]))
    def something_happens(self, kind: AlertKind) -> None:
        number = self.night.raise_flag(self.uid, kind=kind)
        self.states[number] = AlertState.RINGING

    @rule(minutes=st.sampled_from([1, 5, 61]))
    def time_passes(self, minutes: int) -> None:
        self.night.at += timedelta(minutes=minutes)
        self.night.ladder.climb()
        self.follow({AlertMove.TELL, AlertMove.GIVE_UP})

    @rule(data=st.data(), viewer=st.sampled_from([OWN, HUB_SPECIALIST, STRANGER]))
    def somebody_answers(self, data: st.DataObject, viewer: Viewer) -> None:
        number = data.draw(st.sampled_from(sorted(self.states)))
        told = viewer.hcode in (KUMPHAWAPI, self.night.alert(number).hub)
        try:
            with session_scope(self.engine) as session:
                acknowledge(session, number, viewer, at=self.night.at)
        except NotFound:
            assert not told
        else:
            assert told
            assert self.night.alert(number).state is alert_after(self.states[number], AlertMove.ANSWER)
        self.follow({AlertMove.ANSWER})

    @rule(because=st.sampled_from(list(Withdrawal)))
    def nothing_is_flagged_any_more(self, because: Withdrawal) -> None:
        some = self.night.alert(min(self.states))
        with session_scope(self.engine) as session:
            study = session.get_one(Study, some.study_id, with_for_update=True)
            withdraw_flags(session, study, because, "a radiologist", at=self.night.at)
        for number in self.states:
            alert = self.night.alert(number)
            if alert.kind is AlertKind.FLAG:
                assert alert.withdrawn_at is not None
        self.follow({AlertMove.WITHDRAW})

    @invariant()
    def a_row_says_what_its_state_says(self) -> None:
        for number in getattr(self, "states", ()):
            alert = self.night.alert(number)
            assert (alert.next_at is None) is (alert.state is not AlertState.RINGING)
            assert bool(alert.acknowledged_by) is (alert.state is AlertState.ACKNOWLEDGED)
            if alert.state is AlertState.WITHDRAWN:
                assert alert.withdrawn_because is not None

    def follow(self, moves: set[AlertMove]) -> None:
        """Every alert stands where it stood, or where one of these moves leads from there."""
        for number, before in self.states.items():
            now = self.night.alert(number).state
            ways = {WAYS[move].target for move in moves if before in WAYS[move].sources}
            assert now in {before, *ways}
            self.states[number] = now


def test_no_sequence_of_events_leaves_the_table(engine: Engine) -> None:
    Night(engine).on_call(KUMPHAWAPI, "first", "second")
    Night(engine).on_call(UDON, "hub-first")
    Evening.engine = engine
    quick = settings(
        max_examples=6, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Evening, settings=quick)  # type: ignore[no-untyped-call]
