"""A flag that is not so any more: it stops ringing, who was told is told so, and the hub's sight ends."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from model.stroke import Decision, StrokeType
from service.accounts import OPERATOR, Role, Viewer
from service.alert_deliveries import AlertDelivery, TellState
from service.alert_states import AlertState
from service.alerts import (
    SEEN_AFTER,
    Alert,
    AlertKind,
    Withdrawal,
    acknowledge,
    acknowledge_by_link,
    list_alerts,
)
from service.announcements import announce_outcome
from service.audit import AuditEntry
from service.corrections import CORRECTED_WITHIN, withdraw_flags
from service.db import now, session_scope
from service.errors import NotFound
from service.findings import record_prediction
from service.grants import StudyGrant
from service.reviews import review_finding, withdraw_review
from service.sight import find_own_study, find_study
from service.studies import begin_analysis, reopen
from service.verdicts import Hindrance, Verdict
from tests.service.alerting import KUMPHAWAPI, Night
from tests.service.factories import HN, NAME, UDON, analysed, prediction

FIRST = Viewer("first", Role.REFERRER, KUMPHAWAPI)
HUB_DOCTOR = Viewer("hub-first", Role.REFERRER, UDON)
READER = Viewer("reader", Role.RADIOLOGIST, KUMPHAWAPI)


@pytest.fixture
def night(engine: Engine) -> Night:
    night = Night(engine)
    night.on_call(KUMPHAWAPI, "first", "second", "third")
    night.on_call(UDON, "hub-first")
    return night


def withdraw(night: Night, because: Withdrawal = Withdrawal.CLEARED) -> None:
    with session_scope(night.engine) as session:
        withdraw_flags(session, find_study(session, "1.2.3", OPERATOR), because, "hub", at=night.at)


def corrections(night: Night, number: int) -> list[AlertDelivery]:
    return [each for each in night.messages(number) if each.corrects]


class TestWithdrawal:
    def test_rings_no_more_and_whoever_was_told_is_told_once(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        night.forward(minutes=2)
        assert night.mail.to == ["first@x.example", "first@x.example", "second@x.example"]
        withdraw(night)
        withdraw(night)
        night.forward(minutes=3)
        night.forward(minutes=30)
        alert = night.alert(number)
        assert (alert.state, alert.withdrawn_because, alert.next_at) == ("withdrawn", "cleared", None)
        assert [each.told for each in corrections(night, number)] == ["first", "second"]
        assert night.mail.to[3:] == ["first@x.example", "second@x.example"]
        said = night.mail.taken[-1][1]
        assert (said.kind, said.titles[-1], said.alert) == ("flag_withdrawn", "cleared", number)
        assert not any(word in f"{said.text} {said.subject}" for word in (HN, *NAME.split("^")))

    def test_what_was_not_sent_yet_is_not_sent_and_needs_no_correction(self, night: Night) -> None:
        number = night.raise_flag()
        night.ladder.climb()
        withdraw(night, Withdrawal.DISAGREED)
        night.run()
        assert night.mail.to == []
        assert [each.state for each in night.messages(number)] == [TellState.WITHDRAWN]

    def test_what_was_on_its_way_is_corrected_once_it_is_there(self, night: Night) -> None:
        number = night.raise_flag()
        night.mail.meanwhile = lambda: withdraw(night)
        night.run()
        night.mail.meanwhile = None
        night.run()
        assert [message.kind for _, message in night.mail.taken] == ["flag", "flag_withdrawn"]
        assert [each.state for each in night.messages(number)] == [TellState.DELIVERED] * 2

    def test_who_has_the_alert_keeps_it_and_is_told_too(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        with session_scope(night.engine) as session:
            acknowledge(session, number, FIRST, at=night.at)
        withdraw(night)
        night.forward(minutes=1)
        alert = night.alert(number)
        assert (alert.state, alert.withdrawn_because) == (AlertState.ACKNOWLEDGED, Withdrawal.CLEARED)
        assert night.mail.taken[-1][1].kind == "flag_withdrawn"

    def test_the_link_of_an_earlier_message_takes_it_no_more(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        withdraw(night)
        with session_scope(night.engine) as session:
            acknowledge_by_link(session, night.messages(number)[0].token)
        assert night.alert(number).state is AlertState.WITHDRAWN

    def test_after_a_day_nobody_is_woken_for_it(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        night.at += CORRECTED_WITHIN + timedelta(minutes=1)
        withdraw(night)
        assert corrections(night, number) == []
        assert night.alert(number).state is AlertState.WITHDRAWN

    def test_it_is_in_the_audit_with_the_reason(self, night: Night) -> None:
        number = night.raise_flag()
        withdraw(night, Withdrawal.DISAGREED)
        with session_scope(night.engine, write=False) as session:
            entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "alert.withdrawn")).one()
            assert entry.detail["alert"] == number
            assert entry.detail["because"] == "disagreed"


class TestRevisions:
    def again(self, night: Night, *flagged: StrokeType, decision: Decision | None = None) -> None:
        """More slices came, and the network says this of them."""
        with session_scope(night.engine) as session:
            study = find_study(session, "1.2.3", OPERATOR)
            reopen(session, study)
            begin_analysis(session, study)
            record_prediction(session, study, prediction(*flagged, decision=decision))
            announce_outcome(session, study)

    @pytest.fixture
    def rings(self, night: Night) -> int:
        with session_scope(night.engine) as session:
            alert = announce_outcome(session, analysed(session, "1.2.3", StrokeType.SDH, hcode=KUMPHAWAPI))
            assert alert is not None
            return alert.id

    def test_a_later_clear_ends_it(self, night: Night, rings: int) -> None:
        self.again(night)
        assert night.alert(rings).withdrawn_because is Withdrawal.CLEARED

    def test_an_abstention_does_not(self, night: Night, rings: int) -> None:
        self.again(night, decision=Decision.REVIEW)
        assert night.alert(rings).state is AlertState.RINGING

    def test_a_flag_after_it_rings_anew(self, night: Night, rings: int) -> None:
        self.again(night)
        self.again(night, StrokeType.SAH)
        with session_scope(night.engine, write=False) as session:
            assert [each.state for each in list_alerts(session, OPERATOR)] == ["ringing", "withdrawn"]


class TestReviews:
    @pytest.fixture
    def study(self, night: Night) -> str:
        with session_scope(night.engine) as session:
            announce_outcome(session, analysed(session, "1.2.3", StrokeType.SDH, hcode=KUMPHAWAPI))
        return "1.2.3"

    def alerts(self, night: Night) -> list[Alert]:
        with session_scope(night.engine, write=False) as session:
            return list(session.scalars(select(Alert).order_by(Alert.id)))

    def test_no_stroke_ends_it_and_a_stroke_after_all_rings_anew(self, night: Night, study: str) -> None:
        with session_scope(night.engine) as session:
            review_finding(session, find_own_study(session, study, READER), READER, Verdict.CORRECT)
        (alert,) = self.alerts(night)
        assert (alert.state, alert.withdrawn_because) == (AlertState.WITHDRAWN, Withdrawal.DISAGREED)
        for _ in range(2):  # taken back once; a second time there is nothing to take back
            with session_scope(night.engine) as session:
                row = find_own_study(session, study, READER)
                if len(self.alerts(night)) == 1:
                    withdraw_review(session, row, READER)
        first, second = self.alerts(night)
        assert (first.state, second.state, second.kind) == ("withdrawn", "ringing", AlertKind.FLAG)

    def test_another_type_or_no_judgement_leaves_it(self, night: Night, study: str) -> None:
        with session_scope(night.engine) as session:
            row = find_own_study(session, study, READER)
            review_finding(session, row, READER, Verdict.CORRECT, present=[StrokeType.SAH])
            review_finding(session, row, READER, Verdict.NOT_ASSESSABLE, hindrance=Hindrance.MOTION)
            review_finding(session, row, READER, Verdict.AGREE)
        assert [each.state for each in self.alerts(night)] == [AlertState.RINGING]


class TestSight:
    def sees(self, night: Night) -> bool:
        with session_scope(night.engine, write=False) as session:
            try:
                return find_study(session, "1.2.3", HUB_DOCTOR).hcode == KUMPHAWAPI
            except NotFound:
                return False

    def test_the_hub_sees_the_study_from_its_hop_on_and_may_not_change_it(self, night: Night) -> None:
        night.raise_flag()
        night.run()
        assert not self.sees(night)
        night.forward(minutes=5)
        assert self.sees(night)
        with session_scope(night.engine, write=False) as session, pytest.raises(NotFound):
            find_own_study(session, "1.2.3", HUB_DOCTOR)

    @pytest.mark.parametrize("how", ["acknowledged", "withdrawn", "unanswered"])
    def test_and_for_twelve_hours_after_it_ended(self, night: Night, how: str) -> None:
        number = night.raise_flag()
        for minutes in (0, 5, 5):
            night.forward(minutes=minutes)
        if how == "withdrawn":
            withdraw(night)
        elif how == "acknowledged":
            with session_scope(night.engine) as session:
                acknowledge(session, number, FIRST, at=night.at)
        else:
            for _ in range(5):
                night.forward(minutes=10)
        assert night.alert(number).state == how
        with session_scope(night.engine) as session:
            grant = session.scalars(select(StudyGrant)).one()
            assert grant.until == night.at + SEEN_AFTER
            grant.until = now() + timedelta(minutes=1)
        assert self.sees(night)
        with session_scope(night.engine) as session:
            session.scalars(select(StudyGrant)).one().until = now()
        assert not self.sees(night)

    def test_an_alert_about_a_consult_or_referral_shows_no_study(self, night: Night) -> None:
        night.raise_flag(kind=AlertKind.REFERRAL_REQUESTED)
        night.forward(minutes=5)
        assert not self.sees(night)
