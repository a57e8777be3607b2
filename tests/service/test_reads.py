"""Reads: given out blind, handed in whole, never changed, settled by agreement or an adjudicator."""

from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from labeling.answers import Answer, Criterion
from labeling.assignment import Design, Purpose, Reader
from labeling.labels import Label
from labeling.roster import Span
from labeling.splits import Shares
from service.accounts import Role, add_account
from service.adjudications import Adjudication, adjudicate, consensus_of, disputes, find_dispute
from service.assignments import Assignment, assign_cases, assign_roster, hand_over_reads, next_case, progress
from service.case_states import MOVES, SETTLED, CaseState
from service.cases import Case, flow_of, screen
from service.errors import BadRequest, HubError, NotFound, NotReady
from service.reads import Read, draft_of, newest_reads, save_draft, save_label
from tests.service.factories import UDON
from tests.service.labelling import BLEED, IMAGES, ML, NORMAL, admitted, entered, given_out, reader


def read_all(session: Session, name: str, label: Label) -> None:
    while turn := next_case(session, reader(name)):
        save_label(session, reader(name), turn.id, entered(label), IMAGES)


class TestAssign:
    def test_every_eligible_case_is_given_out(self, session: Session) -> None:
        made = given_out(session)
        assert made.adjudicators == ["judge"]
        rows = session.scalars(select(Assignment)).all()
        assert {row.case_id for row in rows} == set(session.scalars(select(Case.id)))
        assert set(session.scalars(select(Case.state))) == {CaseState.ASSIGNED}
        assert {row.reader: row.total for row in progress(session)}.keys() == {"r1", "r2", "r3"}

    def test_who_may_not_label_reads_nothing(self, session: Session) -> None:
        admitted(session)
        add_account(session, "clerk", Role.TECHNICIAN, hcode="10671")
        with pytest.raises(BadRequest, match="'clerk' is technician; may not label"):
            assign_cases(session, ML, [Reader("clerk")], Design(), Shares())
        with pytest.raises(NotFound):
            assign_cases(session, ML, [Reader("nobody")], Design(), Shares())

    def test_nothing_eligible_and_too_few_readers_are_refused_with_the_numbers(
        self, session: Session
    ) -> None:
        add_account(session, "r1", Role.RADIOLOGIST)
        with pytest.raises(BadRequest, match="no case is eligible"):
            assign_cases(session, ML, [Reader("r1")], Design(), Shares())
        admitted(session)
        with pytest.raises(BadRequest, match="20 common cases are asked for"):
            assign_cases(session, ML, [Reader("r1")], Design(), Shares(test=0, calibration=0))

    def test_the_published_ranges_are_given_out_flaws_and_all(self, session: Session) -> None:
        for n in range(1, 5):
            admitted(session, n)
        for name in ("r1", "r2", "judge"):
            add_account(session, name, Role.RADIOLOGIST)
        first, second, third, _ = session.scalars(select(Case.id).order_by(Case.id)).all()
        spans = [Span("r1", UDON, first, second), Span("r2", UDON, second, third)]
        made = assign_roster(session, ML, spans, Shares(), adjudicators=["judge"])
        rows = session.scalars(select(Assignment).order_by(Assignment.reader, Assignment.place)).all()
        assert [(row.reader, row.case_id) for row in rows] == [
            ("r1", first), ("r1", second), ("r2", second), ("r2", third),
        ]  # fmt: skip
        assert (made.design["roster"][0], made.adjudicators) == (["r1", first, second], ["judge"])
        states = session.scalars(select(Case.state).order_by(Case.id)).all()
        assert states == [CaseState.ASSIGNED] * 3 + [CaseState.ELIGIBLE]
        with pytest.raises(BadRequest, match="in a range of the roster"):
            assign_roster(session, ML, spans, Shares())
        with pytest.raises(NotFound):
            assign_roster(session, ML, [Span("nobody", UDON, 1, 99)], Shares())

    def test_a_leavers_cases_go_to_the_others(self, session: Session) -> None:
        given_out(session, design=Design(common=1, double_share=0, rereads=1, reread_gap=1))
        before = next_case(session, reader("r1"))
        assert before is not None
        moved, dropped, unplaced = hand_over_reads(session, ML, "r1")
        assert moved > 0
        assert dropped >= 1
        assert next_case(session, reader("r1")) is None or unplaced
        with pytest.raises(NotFound, match="'ghost' has nothing left"):
            hand_over_reads(session, ML, "ghost")


class TestRead:
    def test_a_reader_finds_their_own_cases_only(self, session: Session) -> None:
        given_out(session)
        turn = next_case(session, reader("r1"))
        assert turn is not None
        with pytest.raises(NotFound, match="no read has the number"):
            save_label(session, reader("r2"), turn.id, entered(NORMAL), IMAGES)
        assert next_case(session, reader("stranger")) is None

    def test_a_draft_is_kept_and_gone_once_handed_in(self, session: Session) -> None:
        given_out(session)
        turn = next_case(session, reader("r1"))
        assert turn is not None
        draft = save_draft(session, reader("r1"), turn.id, {"quality": {"diagnostic": True}})
        started = draft.started_at
        save_draft(session, reader("r1"), turn.id, {"quality": {"diagnostic": True}, "confidence": 4})
        kept = draft_of(session, turn)
        assert kept is not None
        assert (kept.label["confidence"], kept.started_at) == (4, started)
        read = save_label(session, reader("r1"), turn.id, entered(NORMAL), IMAGES)
        assert draft_of(session, turn) is None
        assert read.started_at == started
        following = next_case(session, reader("r1"))
        assert following is None or following.id != turn.id

    def test_an_incomplete_read_names_every_gap_and_a_typing_error_is_refused(self, session: Session) -> None:
        given_out(session)
        turn = next_case(session, reader("r1"))
        assert turn is not None
        with pytest.raises(BadRequest, match="haemorrhage: not answered; ischaemia: not answered"):
            save_label(session, reader("r1"), turn.id, {"quality": {"diagnostic": True}}, IMAGES)
        with pytest.raises(BadRequest, match=r"quality\.diagnosic"):
            save_draft(session, reader("r1"), turn.id, {"quality": {"diagnostic": True, "diagnosic": 1}})
        assert newest_reads(session) == []

    def test_an_edit_appends_and_the_database_keeps_the_first(self, session: Session) -> None:
        given_out(session)
        turn = next_case(session, reader("r1"))
        assert turn is not None
        first = save_label(session, reader("r1"), turn.id, entered(NORMAL), IMAGES)
        second = save_label(session, reader("r1"), turn.id, entered(BLEED), IMAGES)
        assert second.supersedes == first.id
        assert [read.id for read in newest_reads(session)] == [second.id]
        assert session.scalars(select(Read)).all() == [first, second]
        for statement in ("UPDATE reads SET reader = 'x'", "DELETE FROM adjudications", "DELETE FROM reads"):
            if "adjudications" in statement and session.bind and session.bind.dialect.name == "sqlite":
                continue  # there is no row that a trigger could refuse
            with pytest.raises(DBAPIError, match="never changed or deleted"), session.begin_nested():
                session.execute(text(statement))


class TestSettle:
    def test_equal_reads_agree(self, session: Session) -> None:
        given_out(session)
        for name in ("r1", "r2", "r3"):
            read_all(session, name, NORMAL)
        assert set(session.scalars(select(Case.state))) == {CaseState.AGREED}
        flow = flow_of(session, ML)
        assert (flow.read, flow.agreed, flow.adjudicated) == (6, 6, 0)

    def test_differing_reads_go_to_an_adjudicator_who_has_read_neither(self, session: Session) -> None:
        given_out(
            session,
            cases=2,
            readers=("r1", "r2"),
            design=Design(common=0, double_share=1.0, rereads=0),
            shares=Shares(test=0, calibration=0),
            adjudicators=("judge",),
        )
        read_all(session, "r1", NORMAL)
        assert disputes(session, reader("judge")) == []
        read_all(session, "r2", BLEED)
        first, second = disputes(session, reader("judge"))
        assert {len(first.reads), len(second.reads)} == {2}
        assert disputes(session, reader("r1")) == []
        with pytest.raises(NotFound):
            find_dispute(session, reader("r1"), first.case.id)
        with pytest.raises(BadRequest, match="not complete"):
            adjudicate(session, reader("judge"), first.case.id, {"quality": {"diagnostic": True}}, IMAGES)
        adjudicate(session, reader("judge"), first.case.id, entered(BLEED), IMAGES, comment="seen")
        assert first.case.state is CaseState.ADJUDICATED
        consensus, reads, decided = consensus_of(session, first.case.id)
        assert (consensus.labels["any_ich"], consensus.soft["any_ich"]) == (1, 0.5)  # type: ignore[index]
        assert (len(reads), decided is not None) == (2, True)
        turn = session.scalars(select(Assignment).where(Assignment.case_id == first.case.id)).first()
        assert turn is not None
        with pytest.raises(NotReady, match="adjudicated; it takes no more reads"):
            save_label(session, reader(turn.reader), turn.id, entered(BLEED), IMAGES)

    def test_a_correction_ends_a_dispute(self, session: Session) -> None:
        given_out(
            session, cases=1, readers=("r1", "r2"), design=Design(common=1, rereads=0), shares=Shares(test=0)
        )
        read_all(session, "r1", NORMAL)
        read_all(session, "r2", BLEED)
        case = session.scalars(select(Case)).one()
        assert case.state is CaseState.READ
        turn = session.scalars(select(Assignment).where(Assignment.reader == "r2")).one()
        save_label(session, reader("r2"), turn.id, entered(replace(NORMAL, confidence=2)), IMAGES)
        assert case.state is CaseState.AGREED  # type: ignore[comparison-overlap]

    def test_a_reread_measures_the_reader_and_not_the_case(self, session: Session) -> None:
        given_out(session, cases=3, readers=("r1",), design=Design(common=0, double_share=0, rereads=1,
                  reread_gap=1), shares=Shares(test=0, calibration=0))  # fmt: skip
        assert session.scalars(select(Assignment).where(Assignment.purpose == Purpose.REREAD)).one()
        label = NORMAL
        while turn := next_case(session, reader("r1")):
            label = BLEED if turn.read_no == 2 else NORMAL
            save_label(session, reader("r1"), turn.id, entered(label), IMAGES)
        assert set(session.scalars(select(Case.state))) == {CaseState.AGREED}


class Campaign(RuleBasedStateMachine):
    """Anybody does anything in any order: no case leaves the table, and no read is lost."""

    session: ClassVar[Session]

    @initialize()
    def begin(self) -> None:
        self.session.rollback()
        given_out(self.session, cases=4, readers=("r1", "r2", "r3"))
        self.states = {case.id: case.state for case in self.cases()}
        self.handed_in = 0

    def cases(self) -> list[Case]:
        return list(self.session.scalars(select(Case).order_by(Case.id)))

    @rule(name=st.sampled_from(["r1", "r2", "r3", "judge"]), bleeds=st.booleans(), again=st.booleans())
    def read(self, name: str, bleeds: bool, again: bool) -> None:
        turn = next_case(self.session, reader(name))
        if again or turn is None:
            done = select(Assignment).where(Assignment.reader == name, Assignment.done_at.is_not(None))
            turn = self.session.scalars(done).first()
        if turn is None:
            return
        try:
            save_label(self.session, reader(name), turn.id, entered(BLEED if bleeds else NORMAL), IMAGES)
            self.handed_in += 1
        except NotReady:
            assert self.session.get_one(Case, turn.case_id).state in SETTLED - {CaseState.AGREED}
        self.check()

    @rule(n=st.integers(1, 4))
    def decide(self, n: int) -> None:
        number = self.cases()[n - 1].id
        before = self.session.get_one(Case, number).state
        try:
            adjudicate(self.session, reader("judge"), number, entered(BLEED), IMAGES)
            assert before is CaseState.READ
        except NotFound:
            assert before is not CaseState.READ
        self.check()

    @rule(name=st.sampled_from(["r1", "r2", "r3"]))
    def leave(self, name: str) -> None:
        try:
            hand_over_reads(self.session, ML, name)
        except NotFound:
            assert next_case(self.session, reader(name)) is None
        self.check()

    @rule(n=st.integers(1, 4))
    def screen_late(self, n: int) -> None:
        with pytest.raises(HubError, match="cannot take 'screen'"), self.session.begin_nested():
            screen(self.session, ML, self.cases()[n - 1].id, {Criterion.ADULT: Answer.NO})

    def check(self) -> None:
        for case in self.cases():
            before = self.states[case.id]
            assert case.state is before or any(
                before in move.sources and case.state in move.targets for move in MOVES.values()
            )
            open_turns = self.session.scalars(
                select(Assignment).where(Assignment.case_id == case.id, Assignment.done_at.is_(None))
            ).all()
            assert not open_turns or case.state is CaseState.ASSIGNED
            self.states[case.id] = case.state
        assert len(self.session.scalars(select(Read)).all()) == self.handed_in
        decided = set(self.session.scalars(select(Adjudication.case_id)))
        assert decided == {n for n, state in self.states.items() if state is CaseState.ADJUDICATED}


def test_no_sequence_of_calls_leaves_the_table(session: Session) -> None:
    Campaign.session = session
    quick = settings(
        max_examples=6, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Campaign, settings=quick)  # type: ignore[no-untyped-call]
