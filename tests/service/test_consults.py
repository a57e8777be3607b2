"""Consults: the ways between states, who sees the study when, the clock, and that nobody leaves the table."""

import threading
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pydantic import ValidationError
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.accounts import Role, Viewer
from service.alert_states import AlertState
from service.alerts import Alert, AlertKind
from service.audit import AuditEntry
from service.consult_clock import ConsultClock
from service.consult_details import Advice, ConsultDetails, Imaging, Outcome, Thrombolysis
from service.consult_messages import thread_of, write_message
from service.consult_states import (
    MOVES,
    OPEN,
    ConsultSide,
    ConsultState,
    ConsultVerb,
    check_consult_move,
    consult_table,
    consult_verbs,
)
from service.consults import (
    Consult,
    accept,
    answer,
    ask,
    cancel,
    close,
    find_consult,
    list_consults,
    note_opened,
    sides_of,
)
from service.db import now, session_scope
from service.errors import AlreadyExists, BadRequest, HubError, IllegalTransition, NotAllowed, NotFound
from service.events import events_after
from service.sight import find_study
from service.specialties import Specialty
from service.studies import Study
from tests.service.factories import LOEI, UDON, registered

KUMPHAWAPI = "11015"
ASKER = Viewer("asker", Role.REFERRER, KUMPHAWAPI)
ADVISER = Viewer("adviser", Role.SPECIALIST, UDON)
REGION = Viewer("region", Role.RADIOLOGIST, None)
STRANGER = Viewer("stranger", Role.SPECIALIST, LOEI)
PEOPLE = (ASKER, ADVISER, REGION, STRANGER, Viewer("tech", Role.TECHNICIAN, KUMPHAWAPI))
ADVICE = Advice(thrombolysis=Thrombolysis.CONDITIONS, conditions="BP below 185/110", transfer=True)
DOCS = Path(__file__).parents[2] / "docs" / "consults.md"


def asked(session: Session, uid: str = "1.2.3", *, to: str = UDON) -> Consult:
    study = session.scalar(select(Study).where(Study.study_instance_uid == uid))
    return ask(
        session,
        ASKER,
        study or registered(session, uid, hcode=KUMPHAWAPI),
        to_hcode=to,
        specialty=Specialty.NEUROLOGY,
        question="Thrombolysis?",
        details=ConsultDetails(nihss=14, gcs=13),
    )


def act(session: Session, number: int, viewer: Viewer, verb: ConsultVerb) -> Consult:
    if verb is ConsultVerb.ACCEPT:
        return accept(session, number, viewer)
    if verb is ConsultVerb.ANSWER:
        return answer(session, number, viewer, ADVICE)
    if verb is ConsultVerb.CLOSE:
        return close(session, number, viewer, Outcome.TRANSFERRED)
    return cancel(session, number, viewer, "improved")


def sees(session: Session, viewer: Viewer) -> bool:
    try:
        find_study(session, "1.2.3", viewer)
    except NotFound:
        return False
    return True


def alerts(session: Session) -> list[tuple[AlertKind, str, AlertState]]:
    session.expire_all()
    return [(each.kind, each.hcode, each.state) for each in session.scalars(select(Alert).order_by(Alert.id))]


class TestStates:
    @pytest.mark.parametrize(("state", "verb"), list(product(ConsultState, ConsultVerb)))
    def test_only_what_is_in_the_table_is_legal(self, state: ConsultState, verb: ConsultVerb) -> None:
        if state in MOVES[verb].sources:
            assert check_consult_move(state, verb) is MOVES[verb].target
        else:
            with pytest.raises(IllegalTransition, match=f"{state.value} cannot take '{verb.value}'"):
                check_consult_move(state, verb)

    def test_what_has_ended_leads_nowhere_and_everything_open_leads_on(self) -> None:
        leads = {state for state in ConsultState if consult_verbs(state, frozenset(ConsultSide))}
        assert leads == OPEN

    def test_the_table_in_docs_is_the_one_at_work(self) -> None:
        assert consult_table() in DOCS.read_text(encoding="utf-8")


class TestWay:
    def test_from_question_to_outcome_with_everybody_told_and_the_study_shown_meanwhile(
        self, session: Session
    ) -> None:
        assert not sees(session, ADVISER)
        number = asked(session).id
        assert sees(session, ADVISER)
        assert alerts(session) == [(AlertKind.CONSULT_ASKED, UDON, AlertState.RINGING)]
        accept(session, number, ADVISER)
        assert alerts(session)[0][2] is AlertState.ACKNOWLEDGED
        answer(session, number, ADVISER, ADVICE)
        assert alerts(session)[1] == (AlertKind.CONSULT_ANSWERED, KUMPHAWAPI, AlertState.RINGING)
        note_opened(session, find_consult(session, number, ASKER), ASKER)
        assert alerts(session)[1][2] is AlertState.ACKNOWLEDGED
        consult = close(session, number, ASKER, Outcome.THROMBOLYSED, "door to needle 48 min")
        assert not sees(session, ADVISER)
        assert (consult.state, consult.outcome, consult.ending) == (
            ConsultState.CLOSED,
            Outcome.THROMBOLYSED,
            "door to needle 48 min",
        )
        assert Advice.model_validate(consult.advice) == ADVICE
        assert [consult.accepted_by, consult.answered_by, consult.ended_by] == ["adviser", "adviser", "asker"]
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.action.like("consult.%"))).all()
        assert actions == ["consult.asked", "consult.accepted", "consult.answered", "consult.closed"]

    def test_who_has_it_at_hand_answers_at_once(self, session: Session) -> None:
        consult = answer(session, asked(session).id, ADVISER, ADVICE)
        assert consult.accepted_at == consult.answered_at
        assert alerts(session)[0][2] is AlertState.ACKNOWLEDGED

    def test_taken_back_it_rings_no_more_and_shows_nothing(self, session: Session) -> None:
        number = asked(session).id
        with pytest.raises(BadRequest, match="with a reason"):
            cancel(session, number, ASKER, " ")
        cancel(session, number, ASKER, "patient improved")
        assert alerts(session) == [(AlertKind.CONSULT_ASKED, UDON, AlertState.ACKNOWLEDGED)]
        assert not sees(session, ADVISER)

    def test_a_hospital_is_asked_once_at_a_time_and_two_hospitals_side_by_side(
        self, session: Session
    ) -> None:
        first = asked(session)
        with pytest.raises(AlreadyExists, match=f"consult {first.id}"):
            asked(session)
        second = asked(session, to=LOEI)
        cancel(session, first.id, ASKER, "Loei answers")
        assert (sees(session, ADVISER), sees(session, STRANGER)) == (False, True)
        assert asked(session).id > second.id

    def test_only_the_hospital_that_sent_the_study_asks(self, session: Session) -> None:
        study = registered(session, "1.2.3", hcode=UDON)
        for viewer in (ASKER, REGION):
            with pytest.raises(NotAllowed, match="the hospital that sent a study"):
                ask(
                    session,
                    viewer,
                    study,
                    to_hcode=LOEI,
                    specialty=Specialty.NEUROLOGY,
                    question="?",
                    details=ConsultDetails(),
                )

    def test_who_is_not_concerned_finds_none(self, session: Session) -> None:
        number = asked(session).id
        assert list_consults(session, STRANGER) == []
        for deed in (
            lambda: find_consult(session, number, STRANGER),
            lambda: accept(session, number, STRANGER),
            lambda: write_message(session, number, STRANGER, "hello"),
        ):
            with pytest.raises(NotFound, match=f"no consult {number}"):
                deed()
        mine = {
            viewer: [each.id for each in list_consults(session, viewer)]
            for viewer in (ASKER, ADVISER, REGION)
        }
        assert set(map(tuple, mine.values())) == {(number,)}
        assert list_consults(session, ADVISER, side=ConsultSide.ASKER) == []

    def test_events_reach_both_hospitals(self, session: Session) -> None:
        asked(session)
        session.flush()
        heard = [each for each in events_after(session, 0, limit=1000)[0] if each.kind == "consult"]
        assert [(each.what, sorted(each.hospitals)) for each in heard] == [("asked", [UDON, KUMPHAWAPI])]


class TestThread:
    def test_both_sides_write_while_it_is_open(self, session: Session) -> None:
        consult = asked(session)
        write_message(session, consult.id, ASKER, "which side?", [12, 12, 13])
        write_message(session, consult.id, ADVISER, "left", [])
        thread = thread_of(session, consult)
        assert [(each.written_by, each.text, each.slices) for each in thread] == [
            ("asker", "which side?", [12, 13]),
            ("adviser", "left", []),
        ]
        cancel(session, consult.id, ASKER, "improved")
        with pytest.raises(IllegalTransition, match="is cancelled"):
            write_message(session, consult.id, ASKER, "thanks")

    @pytest.mark.parametrize(
        ("text", "slices", "why"),
        [
            (" ", [], "needs words, slices or both"),
            ("x" * 4001, [], "4001 characters"),
            ("", [0], "numbered from 1"),
            ("", list(range(1, 10)), "at most 8"),
        ],
    )
    def test_what_cannot_be_said_is_refused(
        self, session: Session, text: str, slices: list[int], why: str
    ) -> None:
        number = asked(session).id
        with pytest.raises(BadRequest, match=why):
            write_message(session, number, ASKER, text, slices)


class TestClock:
    def late(self, engine: Engine, minutes: float) -> list[int]:
        return ConsultClock(engine, clock=lambda: now() + timedelta(minutes=minutes)).look()

    def kinds(self, engine: Engine) -> list[tuple[str, AlertState]]:
        with session_scope(engine, write=False) as session:
            return [(each.key, each.state) for each in session.scalars(select(Alert).order_by(Alert.id))]

    def test_what_nobody_opened_and_nobody_answered_is_told_once_each(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            number = asked(session).id
        assert [self.late(engine, minutes) for minutes in (9.9, 10.1, 11, 20.1, 21)] == [
            [],
            [number],
            [],
            [number],
            [],
        ]
        assert [key for key, _ in self.kinds(engine)] == [
            f"consult_asked:{number}",
            f"consult_late:{number}:open",
            f"consult_late:{number}:advice",
        ]
        with session_scope(engine) as session:
            answer(session, number, ADVISER, ADVICE)
        assert {state for _, state in self.kinds(engine)[:3]} == {AlertState.ACKNOWLEDGED}

    def test_who_opened_it_in_time_has_until_the_advice_is_due(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            consult = asked(session)
            note_opened(session, consult, ASKER)
            assert consult.opened_at is None
            note_opened(session, consult, ADVISER)
            assert consult.opened_by == "adviser"
        assert self.late(engine, 11) == []
        assert self.late(engine, 21) == [consult.id]

    def test_what_has_ended_is_never_late(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            cancel(session, asked(session).id, ASKER, "improved")
            answer(session, asked(session).id, ADVISER, ADVICE)
        assert self.late(engine, 30) == []

    def test_how_a_consult_stands(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            consult = asked(session)
        clock = ConsultClock(engine, clock=lambda: consult.asked_at + timedelta(minutes=15))
        due = clock.due(consult)
        assert (due.opened_late, due.advised_late) == (True, False)
        consult.opened_at = consult.asked_at + timedelta(minutes=9)
        assert not clock.due(consult).opened_late


class TestValues:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"nihss": 43},
            {"gcs": 2},
            {"systolic": 80, "diastolic": 120},
            {"onset_at": "2026-11-22T12:00:00"},
            {"glucose": 0},
            {"weight": 60},
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            ConsultDetails.model_validate(wrong)

    def test_conditions_are_said_and_imaging_is_in_order(self) -> None:
        with pytest.raises(ValidationError, match="the conditions in words"):
            Advice(thrombolysis=Thrombolysis.CONDITIONS, transfer=False)
        advice = Advice(
            thrombolysis=Thrombolysis.NO, transfer=False, imaging=[Imaging.MRI, Imaging.CTA, Imaging.MRI]
        )
        assert advice.imaging == [Imaging.CTA, Imaging.MRI]


def test_two_at_once_are_one_winner_and_one_clear_409(engine: Engine) -> None:
    with session_scope(engine) as session:
        number = asked(session).id
    both, said = threading.Barrier(2), list[tuple[type[HubError], int]]()

    def move(viewer: Viewer, verb: ConsultVerb) -> None:
        both.wait(timeout=20)
        try:
            with session_scope(engine) as session:
                act(session, number, viewer, verb)
        except HubError as error:
            said.append((type(error), error.status))

    pairs = ((ADVISER, ConsultVerb.ACCEPT), (REGION, ConsultVerb.ACCEPT))
    threads = [threading.Thread(target=move, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert said == [(IllegalTransition, 409)]


class Journey(RuleBasedStateMachine):
    """Anybody does anything in any order to one study's consults."""

    session: Session
    count = 0

    @initialize()
    def begin(self) -> None:
        Journey.count += 1
        self.uid = f"1.2.840.{Journey.count}"
        self.numbers = [asked(self.session, self.uid).id]

    @rule(to=st.sampled_from([UDON, LOEI]))
    def somebody_else_is_asked(self, to: str) -> None:
        busy = {each.to_hcode for each in self.consults() if each.state in OPEN}
        try:
            self.numbers.append(asked(self.session, self.uid, to=to).id)
        except AlreadyExists:
            assert to in busy
        else:
            assert to not in busy

    @rule(data=st.data(), verb=st.sampled_from(list(ConsultVerb)), viewer=st.sampled_from(PEOPLE))
    def somebody_acts(self, data: Any, verb: ConsultVerb, viewer: Viewer) -> None:
        consult = data.draw(st.sampled_from(self.consults()))
        before = consult.state
        legal = before in MOVES[verb].sources and MOVES[verb].side in sides_of(consult, viewer)
        try:
            act(self.session, consult.id, viewer, verb)
        except (NotAllowed, NotFound, IllegalTransition):
            assert not legal
            assert consult.state is before
        else:
            assert legal
            assert consult.state is MOVES[verb].target

    def consults(self) -> list[Consult]:
        return [self.session.get_one(Consult, number) for number in self.numbers]

    def teardown(self) -> None:
        for viewer in (ADVISER, STRANGER):
            open_here = any(each.to_hcode == viewer.hcode and each.state in OPEN for each in self.consults())
            try:
                find_study(self.session, self.uid, viewer)
            except NotFound:
                assert not open_here
            else:
                assert open_here


def test_no_sequence_of_calls_leaves_the_table_or_shows_a_study_for_longer(session: Session) -> None:
    Journey.session = session
    quick = settings(
        max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Journey, settings=quick)  # type: ignore[no-untyped-call]
