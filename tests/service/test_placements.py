"""Which model reads where: one live and one shadow a place, history whole, two people at once."""

import threading

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.accounts import Role, Viewer
from service.audit import verify_chain
from service.db import session_scope
from service.errors import AlreadyExists, Changed, HubError, IllegalTransition, NotAllowed, NotFound, NotReady
from service.model_states import ModelState, ModelVerb
from service.models import REGION, find_model, list_models, register_model, steps_of
from service.placements import (
    live_in,
    models_at,
    placements,
    promote_model,
    retire_model,
    roll_back,
    shadow_model,
    state_in,
)
from tests.service.factories import LOEI, UDON
from tests.service.modelling import INTENDED, ML, registered_model

S = ModelState
A, B, C = "stroke-ct-0.5.0", "stroke-ct-0.6.0", "stroke-ct-0.7.0"


def live(session: Session, hcode: str | None = UDON) -> str | None:
    found = models_at(session, hcode).live
    return found.name if found else None


class TestRegister:
    def test_again_is_one_and_another_package_of_that_name_is_refused(self, session: Session) -> None:
        first = registered_model(session, A)
        assert registered_model(session, A) is first
        with pytest.raises(AlreadyExists, match="a version of its own"):
            register_model(
                session,
                ML,
                name=A,
                digest="f" * 64,
                folder="models/x",
                assessed=INTENDED,
                engine="e",
                golden_off_by=0.0,
            )
        assert [step.verb for step in steps_of(session)] == [ModelVerb.REGISTER]

    def test_found_by_name_or_by_the_beginning_of_its_digest(self, session: Session) -> None:
        made = registered_model(session, A)
        assert find_model(session, A) is find_model(session, made.digest[:8]) is made
        for nothing in ("stroke", made.digest[:7], "\x00"):
            with pytest.raises(NotFound):
                find_model(session, nothing)


class TestVerbs:
    def test_without_a_row_the_shipped_package_reads(self, session: Session) -> None:
        registered_model(session, A)
        assert models_at(session, UDON).live is models_at(session, None).live is None
        with pytest.raises(NotReady, match="no model was promoted for the region"):
            roll_back(session, ML)

    def test_a_roll_back_takes_the_uppermost_off_until_the_shipped_one_reads(self, session: Session) -> None:
        for name in (A, B):
            registered_model(session, name)
            shadow_model(session, ML, name)
            promote_model(session, ML, name, reason="better")
        assert live(session) == B
        promote_model(session, ML, A)
        (done,) = roll_back(session, ML, seen=A, reason="bad nights")
        assert (done[1].name, done[2] and done[2].name, live(session)) == (A, B, B)
        roll_back(session, ML)
        assert live(session) == A
        roll_back(session, ML)
        assert live(session) is None
        assert {row.state for row in placements(session)} == {S.RETIRED}
        assert verify_chain(session).broken_at is None

    def test_a_canary_reads_at_its_hospital_until_the_region_goes_another_way(self, session: Session) -> None:
        for name in (A, B, C):
            registered_model(session, name)
        promote_model(session, ML, A)
        promote_model(session, ML, B, [UDON])
        assert (live(session), live(session, LOEI), live(session, None)) == (B, A, A)
        (done,) = roll_back(session, ML, [UDON])
        assert (done[0], done[2], live(session)) == (UDON, None, A)
        promote_model(session, ML, B, [UDON, LOEI])
        shadow_model(session, ML, C, [LOEI])
        promote_model(session, ML, C)
        assert {live(session), live(session, LOEI), live(session, None)} == {C}
        assert state_in(session, find_model(session, C), LOEI) is S.RETIRED  # nobody's shadow any more
        promote_model(session, ML, B, [UDON])
        roll_back(session, ML, [UDON])
        assert live(session) == C  # not the canary that the region's promotion ended
        with pytest.raises(NotReady, match=f"at hospital {UDON}"):
            roll_back(session, ML, [UDON])

    def test_one_shadow_a_place_and_never_beside_itself(self, session: Session) -> None:
        for name in (A, B):
            registered_model(session, name)
        shadow_model(session, ML, A)
        shadow_model(session, ML, B)
        found = models_at(session, UDON).shadow
        assert found is not None
        assert (found.name, state_in(session, find_model(session, A), REGION)) == (B, S.RETIRED)
        promote_model(session, ML, B, [UDON])
        assert models_at(session, UDON).shadow is None
        assert models_at(session, LOEI).shadow is found

    def test_refusals(self, session: Session) -> None:
        registered_model(session, A)
        promote_model(session, ML, A)
        with pytest.raises(IllegalTransition, match="is live there and cannot take 'retire'"):
            retire_model(session, ML, A)
        with pytest.raises(IllegalTransition, match="is live there and cannot take 'shadow'"):
            shadow_model(session, ML, A)
        with pytest.raises(NotFound, match="99999"):
            shadow_model(session, ML, A, ["99999"])
        with pytest.raises(Changed, match=f"the live model for the region is {A} now"):
            roll_back(session, ML, seen="")

    def test_an_account_of_one_hospital_moves_models_there_alone(self, session: Session) -> None:
        registered_model(session, A)
        theirs = Viewer("ml-udon", Role.ML, UDON)
        for hospitals in ([], [LOEI], [UDON, LOEI]):
            with pytest.raises(NotAllowed):
                shadow_model(session, theirs, A, hospitals)
        shadow_model(session, theirs, A, [UDON])

    def test_history_is_never_changed(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            registered_model(session, A)
        for statement in ("UPDATE model_steps SET reason = 'x'", "DELETE FROM model_steps"):
            with pytest.raises(DBAPIError, match="never changed"), session_scope(engine) as session:
                session.execute(text(statement))


def at_once(engine: Engine, *calls: tuple[str, str]) -> list[str]:
    """Promote or roll back in threads that begin together; what each heard."""
    heard: list[str] = []
    together = threading.Barrier(len(calls))

    def act(name: str, seen: str) -> None:
        together.wait()
        try:
            with session_scope(engine) as session:
                if name:
                    promote_model(session, ML, name, seen=seen)
                else:
                    roll_back(session, ML, seen=seen)
            heard.append("done")
        except HubError as refusal:
            heard.append(str(refusal.status))

    threads = [threading.Thread(target=act, args=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(heard)


def test_of_two_who_promote_at_once_one_wins_and_the_other_hears_409(engine: Engine) -> None:
    with session_scope(engine) as session:
        for name in (A, B, C):
            registered_model(session, name)
        promote_model(session, ML, C)
    assert at_once(engine, (A, C), (B, C)) == ["409", "done"]
    with session_scope(engine) as session:
        winner = live(session)
        assert winner in (A, B)
    assert at_once(engine, ("", winner), ("", winner)) == ["409", "done"]
    with session_scope(engine) as session:
        assert live(session) == C


class Registry(RuleBasedStateMachine):
    """Any sequence of verbs in two places, against what they mean."""

    engine: Engine
    count = 0
    names = st.integers(0, 2)
    places = st.sampled_from([REGION, UDON, LOEI])

    @initialize()
    def three_models(self) -> None:
        Registry.count += 1
        self.session = Session(Registry.engine)
        self.models = [registered_model(self.session, f"m-{Registry.count}.{n}.0") for n in range(3)]
        self.piles: dict[str, list[str]] = {REGION: [], UDON: [], LOEI: []}
        self.shadows: dict[str, str | None] = {REGION: None, UDON: None, LOEI: None}

    @rule(n=names, place=places)
    def shadow(self, n: int, place: str) -> None:
        name = self.models[n].name
        if name in (self.shadows[place], *self.piles[place][-1:]):
            with pytest.raises(IllegalTransition):
                shadow_model(self.session, ML, name, [place] if place else [])
            return
        shadow_model(self.session, ML, name, [place] if place else [])
        self.shadows[place] = name

    @rule(n=names, place=places)
    def promote(self, n: int, place: str) -> None:
        name = self.models[n].name
        if self.piles[place][-1:] == [name]:
            with pytest.raises(IllegalTransition):
                promote_model(self.session, ML, name, [place] if place else [])
            return
        promote_model(self.session, ML, name, [place] if place else [])
        self.piles[place].append(name)
        self.shadows[place] = None if self.shadows[place] == name else self.shadows[place]
        if place == REGION:
            self.piles |= {UDON: [], LOEI: []}
            self.shadows = {at: None if its == name else its for at, its in self.shadows.items()}

    @rule(place=places)
    def go_back(self, place: str) -> None:
        if not self.piles[place]:
            with pytest.raises(NotReady):
                roll_back(self.session, ML, [place] if place else [])
            return
        roll_back(self.session, ML, [place] if place else [])
        self.piles[place].pop()
        if self.shadows[place] in self.piles[place][-1:]:
            self.shadows[place] = None

    @invariant()
    def everybody_is_read_by_whom_the_verbs_say(self) -> None:
        if not hasattr(self, "piles"):
            return
        for place, pile in self.piles.items():
            own = live_in(self.session, place)
            assert (own.name if own else None) == (pile[-1] if pile else None)
            stands = (pile or self.piles[REGION])[-1:]
            found = models_at(self.session, place or None)
            assert ([found.live.name] if found.live else []) == stands
            wanted = self.shadows[place] or self.shadows[REGION]
            assert (found.shadow.name if found.shadow else None) == (None if [wanted] == stands else wanted)

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.session.rollback()
            assert not list_models(self.session)
            self.session.close()


@pytest.mark.one_database  # what differs between databases is tested with the verbs
def test_no_sequence_of_verbs_loses_what_reads_where(engine: Engine) -> None:
    quick = settings(
        max_examples=8, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Registry.engine = engine
    run_state_machine_as_test(Registry, settings=quick)  # type: ignore[no-untyped-call]
