"""Referral and its steps: who may do what when, numbers, audit; no sequence of calls leaves the table."""

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service import audit
from service.accounts import Viewer
from service.db import session_scope
from service.errors import (
    AlreadyReferred,
    BadRequest,
    Changed,
    HubError,
    IllegalTransition,
    NotAllowed,
    NotFound,
)
from service.referral_serials import next_serial
from service.referral_states import COMING, FALLEN, MOVES, REASONS, Reason, ReferralState, Side, Verb
from service.referral_steps import (
    accept_referral,
    complete_referral,
    identify_patient,
    move_referral,
    open_referral,
    request_referral,
    steps_of,
)
from service.referrals import (
    Referral,
    asked_before,
    find_referral,
    list_referrals,
    open_draft,
    shows_patient,
    sides_of,
)
from service.sight import find_study
from tests.service.factories import HN, LOEI, NAME, RECEIVED, UDON, registered
from tests.service.referring import (
    OUTSIDERS,
    RECEIVER,
    REGION,
    SAKON,
    SENDER,
    SMALL,
    STRANGER,
    accepted,
    details,
    draft,
    requested,
    small_study,
)

PEOPLE = (SENDER, RECEIVER, REGION, *OUTSIDERS)


def act(session: Session, referral: Referral, viewer: Viewer, verb: Verb, version: int | None = None) -> None:
    """Carry out any verb with what it needs."""
    match verb:
        case Verb.REQUEST:
            request_referral(session, referral, viewer, version=version)
        case Verb.RECEIVE:
            open_referral(session, referral, viewer)
        case Verb.ACCEPT:
            accept_referral(session, referral, viewer, hn="0099", version=version)
        case Verb.COMPLETE:
            complete_referral(session, referral, viewer, reply="home on day 5", version=version)
        case _:
            reason = REASONS.get(verb, (None,))[0]
            move_referral(session, referral, viewer, verb, reason=reason, version=version)


def test_the_whole_way(session: Session) -> None:
    referral = draft(session)
    for viewer, verb in (
        (SENDER, Verb.REQUEST),
        (RECEIVER, Verb.RECEIVE),
        (RECEIVER, Verb.ACCEPT),
        (SENDER, Verb.DEPART),
        (RECEIVER, Verb.ARRIVE),
        (RECEIVER, Verb.COMPLETE),
    ):
        act(session, referral, viewer, verb)
        assert referral.state is MOVES[verb].target
    assert (referral.version, referral.receiver_hn, referral.reply) == (7, "0099", "home on day 5")
    assert [each.verb for each in steps_of(session, referral)] == [
        Verb.REQUEST,
        Verb.RECEIVE,
        Verb.ACCEPT,
        Verb.DEPART,
        Verb.ARRIVE,
        Verb.COMPLETE,
    ]
    assert referral.answer_by is not None


def test_every_verb_is_in_the_audit_and_names_nobody(session: Session) -> None:
    referral = accepted(session, hn=HN)
    rows = [row for row in audit.search(session) if row.action.startswith("referral.")]
    assert [row.action for row in rows] == ["referral.accepted", "referral.requested", "referral.draft"]
    assert rows[0].detail == {"referral": referral.id, "from": SMALL, "to": UDON}
    said = str([(row.actor, row.detail) for row in rows])
    assert not any(word in said for word in (*NAME.split("^"), HN))


class TestOpenDraft:
    def test_only_the_hospital_where_the_patient_is_refers(self, session: Session) -> None:
        study = small_study(session)
        with pytest.raises(NotAllowed, match="where the patient is"):
            open_draft(session, study, RECEIVER, to=LOEI, urgency=2, details=details())

    def test_a_hospital_that_took_the_patient_over_refers_on(self, session: Session) -> None:
        study = small_study(session)
        referral = accepted(session, study)
        act(session, referral, RECEIVER, Verb.ARRIVE)
        onward = open_draft(session, study, RECEIVER, to=LOEI, urgency=2, details=details())
        request_referral(session, onward, RECEIVER, version=None)
        assert (onward.from_hcode, onward.state) == (UDON, ReferralState.REQUESTED)

    @pytest.mark.parametrize(("to", "urgency"), [(SMALL, 2), (UDON, 0), (UDON, 6)])
    def test_what_cannot_be_is_refused(self, session: Session, to: str, urgency: int) -> None:
        with pytest.raises(BadRequest):
            draft(session, to=to, urgency=urgency)

    def test_an_unknown_hospital_is_not_found(self, session: Session) -> None:
        with pytest.raises(NotFound, match="99999"):
            draft(session, to="99999")

    def test_a_study_of_no_known_hospital_cannot_be_referred(self, session: Session) -> None:
        with pytest.raises(NotAllowed):
            open_draft(
                session, registered(session, hcode=None), REGION, to=UDON, urgency=2, details=details()
            )


class TestSeeing:
    def test_a_draft_is_the_senders_alone_even_once_cancelled(self, session: Session) -> None:
        referral = draft(session)
        for _ in range(2):
            assert find_referral(session, referral.id, SENDER) is referral
            for viewer in (RECEIVER, STRANGER):
                with pytest.raises(NotFound):
                    find_referral(session, referral.id, viewer)
            if referral.state is ReferralState.DRAFT:
                act(session, referral, SENDER, Verb.CANCEL)

    def test_a_request_is_seen_by_both_sides_and_nobody_else(self, session: Session) -> None:
        referral = requested(session)
        for viewer in (SENDER, RECEIVER, REGION):
            assert [each.id for each in list_referrals(session, viewer)] == [referral.id]
        assert list_referrals(session, STRANGER) == []

    def test_the_receiver_no_longer_sees_who_it_was_once_it_fell_through(self, session: Session) -> None:
        referral = requested(session)
        assert shows_patient(referral, RECEIVER)
        act(session, referral, RECEIVER, Verb.REJECT)
        assert not shows_patient(referral, RECEIVER)
        assert shows_patient(referral, SENDER)
        assert find_referral(session, referral.id, RECEIVER).reason is Reason.NO_BED

    def test_lists_narrow_by_side_state_and_study(self, session: Session) -> None:
        referral = requested(session)
        assert list_referrals(session, RECEIVER, side=Side.SENDER) == []
        assert list_referrals(session, RECEIVER, side=Side.RECEIVER, states=[ReferralState.REQUESTED])
        assert list_referrals(session, SENDER, states=FALLEN) == []
        assert list_referrals(session, SENDER, study_id=referral.study_id + 1) == []
        assert list_referrals(session, SENDER, before=referral.id) == []


class TestSight:
    def test_the_receiver_sees_the_study_from_request_to_rejection(self, session: Session) -> None:
        study = small_study(session)
        with pytest.raises(NotFound):
            find_study(session, study.study_instance_uid, RECEIVER)
        referral = requested(session, study)
        assert find_study(session, study.study_instance_uid, RECEIVER) is study
        with pytest.raises(NotFound):
            find_study(session, study.study_instance_uid, STRANGER)
        act(session, referral, RECEIVER, Verb.REJECT)
        with pytest.raises(NotFound):
            find_study(session, study.study_instance_uid, RECEIVER)

    def test_a_patient_sent_back_is_at_the_studys_own_hospital(self, session: Session) -> None:
        study = small_study(session)
        act(session, accepted(session, study), RECEIVER, Verb.ARRIVE)
        back = open_draft(session, study, RECEIVER, to=SMALL, urgency=5, details=details())
        request_referral(session, back, RECEIVER, version=None)
        act(session, back, SENDER, Verb.REJECT)
        assert find_study(session, study.study_instance_uid, SENDER) is study


class TestRequest:
    def test_it_needs_to_say_what_is_asked_and_by_whom(self, session: Session) -> None:
        referral = draft(session, details=details(doctor=""))
        with pytest.raises(BadRequest, match="doctor"):
            act(session, referral, SENDER, Verb.REQUEST)
        assert referral.state is ReferralState.DRAFT

    def test_a_patient_is_on_the_way_to_one_hospital_at_a_time(self, session: Session) -> None:
        study = small_study(session)
        first, second = requested(session, study), draft(session, study, to=SAKON)
        with pytest.raises(AlreadyReferred, match=UDON):
            act(session, second, SENDER, Verb.REQUEST)
        act(session, first, RECEIVER, Verb.REJECT)
        act(session, second, SENDER, Verb.REQUEST)
        assert second.state is ReferralState.REQUESTED

    def test_numbers_run_by_hospital_and_buddhist_year(self, session: Session) -> None:
        given = [requested(session, small_study(session, f"1.2.{n}")).serial for n in range(2)]
        assert [str(each)[3:] for each in given] == ["000001", "000002"]
        assert next_serial(session, UDON, RECEIVED) == "69-000001"
        assert next_serial(session, UDON, RECEIVED.replace(month=12, day=31, hour=17)) == "70-000001"


class TestReceive:
    def test_only_the_receivers_first_look_counts(self, session: Session) -> None:
        referral = requested(session)
        for viewer in (SENDER, REGION, STRANGER):
            open_referral(session, referral, viewer)
            assert referral.state is ReferralState.REQUESTED
        for _ in range(2):
            open_referral(session, referral, RECEIVER)
        assert (referral.state, len(steps_of(session, referral))) == (ReferralState.RECEIVED, 2)


class TestAnswer:
    @pytest.mark.parametrize("reason", [None, Reason.DIED_IN_TRANSIT, Reason.OTHER])
    def test_a_rejection_needs_one_of_its_reasons(self, session: Session, reason: Reason | None) -> None:
        referral = requested(session)
        with pytest.raises(BadRequest):
            move_referral(session, referral, RECEIVER, Verb.REJECT, reason=reason, version=None)
        assert referral.state is ReferralState.REQUESTED

    def test_the_next_hospital_is_another_row(self, session: Session) -> None:
        study = small_study(session)
        first = requested(session, study)
        act(session, first, RECEIVER, Verb.REJECT)
        second = requested(session, study, to=SAKON, follows=first)
        assert asked_before(session, second) == [SAKON, UDON]

    def test_accepting_what_somebody_else_changed_is_refused(self, session: Session) -> None:
        referral = requested(session)
        with pytest.raises(Changed, match=r"requested now \(version 2\); you saw version 1"):
            act(session, referral, RECEIVER, Verb.ACCEPT, version=1)

    @pytest.mark.parametrize("hn", ["a\\b", "x" * 65, "a\nb", " "])
    def test_a_number_that_dicom_does_not_take_is_refused_and_not_repeated(
        self, session: Session, hn: str
    ) -> None:
        referral = accepted(session)
        with pytest.raises(BadRequest) as refusal:
            identify_patient(session, referral, RECEIVER, hn)
        assert hn.strip() == "" or hn not in refusal.value.message

    def test_the_number_may_follow_and_be_corrected_by_the_receiver_only(self, session: Session) -> None:
        referral = accepted(session)
        assert referral.receiver_hn == ""
        for hn in ("77", "78", "78"):
            identify_patient(session, referral, RECEIVER, hn)
        assert (referral.receiver_hn, referral.version) == ("78", 5)
        with pytest.raises(NotAllowed):
            identify_patient(session, referral, SENDER, "1")

    def test_a_reply_is_not_empty(self, session: Session) -> None:
        referral = accepted(session)
        act(session, referral, RECEIVER, Verb.ARRIVE)
        with pytest.raises(BadRequest, match="0 characters"):
            complete_referral(session, referral, RECEIVER, reply=" ", version=None)


def test_of_two_who_answer_at_once_one_wins_and_the_other_is_told(engine: Engine) -> None:
    with session_scope(engine) as session:
        number = requested(session).id
    together, said = threading.Barrier(2), []

    def answer(verb: Verb) -> None:
        with session_scope(engine, write=False) as looking:
            version = find_referral(looking, number, RECEIVER).version
        together.wait(timeout=10)
        try:
            with session_scope(engine) as session:
                act(session, find_referral(session, number, RECEIVER, lock=True), RECEIVER, verb, version)
        except HubError as error:
            said.append((type(error), error.status))

    threads = [threading.Thread(target=answer, args=(verb,)) for verb in (Verb.ACCEPT, Verb.REJECT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert said == [(Changed, 409)]
    with session_scope(engine, write=False) as session:
        steps = steps_of(session, find_referral(session, number, RECEIVER))
    assert len(steps) == 2


class Journey(RuleBasedStateMachine):
    """Anybody does anything in any order to one patient's referrals."""

    session: Session
    count = 0

    @initialize()
    def begin(self) -> None:
        Journey.count += 1
        self.study = small_study(self.session, f"1.2.840.{Journey.count}")
        self.referrals = [draft(self.session, self.study)]

    @rule(to=st.sampled_from([UDON, SAKON]))
    def another_draft(self, to: str) -> None:
        self.referrals.append(draft(self.session, self.study, to=to))

    @rule(data=st.data(), verb=st.sampled_from(list(Verb)), viewer=st.sampled_from(PEOPLE))
    def somebody_acts(self, data: Any, verb: Verb, viewer: Viewer) -> None:
        referral = data.draw(st.sampled_from(self.referrals))
        before, version = referral.state, referral.version
        legal = before in MOVES[verb].sources and bool(MOVES[verb].sides & sides_of(referral, viewer))
        busy = any(each.state in COMING for each in self.referrals if each is not referral)
        refusal: HubError | None = None
        try:
            act(self.session, referral, viewer, verb)
        except (NotAllowed, IllegalTransition, AlreadyReferred) as error:
            refusal = error
        if refusal is not None:
            assert (referral.state, referral.version) == (before, version)
            assert not legal or (isinstance(refusal, AlreadyReferred) and verb is Verb.REQUEST and busy)
            return
        if verb is Verb.RECEIVE and (not legal or viewer.sees_region):
            assert (referral.state, referral.version) == (before, version)
            return
        assert legal
        assert (referral.state, referral.version) == (MOVES[verb].target, version + 1)

    def teardown(self) -> None:
        steps = {each.id: steps_of(self.session, each) for each in self.referrals}
        for referral in self.referrals:
            state = ReferralState.DRAFT
            for step in steps[referral.id]:
                assert state in MOVES[step.verb].sources
                state = MOVES[step.verb].target
            assert state is referral.state
        self.session.expire_all()
        open_now = select(Referral).where(Referral.study_id == self.study.id, Referral.state.in_(COMING))
        assert len(self.session.scalars(open_now).all()) <= 1


def test_no_sequence_of_calls_leaves_the_table(session: Session) -> None:
    Journey.session = session
    quick = settings(
        max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Journey, settings=quick)  # type: ignore[no-untyped-call]
