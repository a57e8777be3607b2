"""Alerts from raising to answer: ladder, quiet rules, lines to channels that are down, restarts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from model.stroke import Refusal, StrokeType
from service import circuits
from service.accounts import OPERATOR, Role, Viewer, add_account
from service.alert_deliveries import TellState
from service.alert_states import AlertState
from service.alerts import (
    Alert,
    AlertKind,
    Through,
    acknowledge,
    acknowledge_by_link,
    acknowledge_key,
    find_alert,
    list_alerts,
    raise_alert,
)
from service.announcements import announce_outcome
from service.audit import AuditEntry
from service.case_numbers import case_number
from service.channels.email import Email, Security, Server
from service.channels.message import Later, Refused, Unreachable
from service.contacts import Contact, Way, add_contact, find_contact, remove_contact
from service.db import session_scope
from service.errors import NotFound
from service.events import events_after
from service.hospital_modes import Mode, switch_mode
from service.ladders import Ladder, unreached
from service.quiet import Limits, morning
from service.reviews import review_finding
from service.rosters import add_shift
from service.specialties import Specialty
from service.states import Lane
from service.studies import Study, mark_failed, mark_refused
from service.verdicts import Verdict
from tests.mail import mail_server
from tests.service.alerting import KUMPHAWAPI, START, Night
from tests.service.factories import HN, LOEI, NAME, UDON, analysed, registered

FIRST = Viewer("first", Role.REFERRER, KUMPHAWAPI)


@pytest.fixture
def night(engine: Engine, caplog: pytest.LogCaptureFixture) -> Night:
    caplog.set_level("INFO")  # as a hub logs: a log line that cannot be made must fail here
    night = Night(engine)
    night.on_call(KUMPHAWAPI, "first", "second", "third")
    night.on_call(UDON, "hub-first", "hub-second")
    return night


def addresses(*names: str) -> list[str]:
    return [f"{name}@x.example" for name in names]


class TestLadder:
    def test_goes_on_down_the_roster_and_to_the_hub_until_somebody_answers(self, night: Night) -> None:
        number = night.raise_flag()
        told = []
        for minutes in (0, 2, 3, 5):
            night.mail.taken.clear()
            night.forward(minutes=minutes)
            told.append(night.mail.to)
        everybody = addresses("first", "second", "third", "hub-first")
        assert told == [
            addresses("first"),
            addresses("first", "second"),
            everybody,
            [*everybody[:3], *addresses("hub-first", "hub-second")],
        ]
        assert night.alert(number).hub == UDON
        night.mail.taken.clear()
        with session_scope(night.engine) as session:
            acknowledge(session, number, FIRST, through=Through.PAGE, at=night.at)
        night.forward(minutes=10)
        night.forward(days=1)
        assert night.mail.to == []
        alert = night.alert(number)
        assert (alert.state, alert.acknowledged_by, alert.acknowledged_through, alert.hop) == (
            AlertState.ACKNOWLEDGED,
            "first",
            "page",
            4,
        )

    def test_between_hops_nobody_is_told_again(self, night: Night) -> None:
        night.raise_flag()
        night.run()
        night.forward(minutes=1, seconds=59)
        assert night.mail.to == addresses("first")

    def test_a_hub_that_slept_goes_to_the_hop_that_it_is_time_for(self, night: Night) -> None:
        number = night.raise_flag()
        night.forward(minutes=6)
        assert night.mail.to == addresses("first", "second", "third", "hub-first")
        assert (night.alert(number).hop, night.alert(number).next_at) == (3, START + timedelta(minutes=10))

    def test_repeats_the_last_hop_for_an_hour_and_then_stands_unanswered(self, night: Night) -> None:
        number = night.raise_flag()
        for _ in range(9):
            night.forward(minutes=10)
        alert = night.alert(number)
        assert (alert.state, alert.next_at) == (AlertState.UNANSWERED, None)
        assert alert.hop == 8
        with session_scope(night.engine, write=False) as session:
            assert "alert.unanswered" in session.scalars(select(AuditEntry.action)).all()

    def test_nobody_on_call_goes_to_the_hub_at_once(self, engine: Engine) -> None:
        night = Night(engine)
        night.on_call(UDON, "hub-first")
        number = night.raise_flag()
        night.run()
        assert night.mail.to == addresses("hub-first")
        with session_scope(engine, write=False) as session:
            assert find_alert(session, number, Viewer("hub-first", Role.REFERRER, UDON)).hub == UDON

    def test_the_wanted_specialty_is_told_first_where_it_is_on_call(self, night: Night) -> None:
        with session_scope(night.engine) as session:
            for place, name in ((4, "neuro-1"), (5, "neuro-2")):
                add_account(session, name, Role.SPECIALIST, hcode=KUMPHAWAPI)
                times = {"starts_at": START, "ends_at": START + timedelta(hours=8)}
                wanted = Specialty.NEUROLOGY
                add_shift(session, OPERATOR, KUMPHAWAPI, name, place=place, specialty=wanted, **times)
                add_contact(session, OPERATOR, Way.EMAIL, f"{name}@x.example", username=name)
            study = registered(session, "1.2.3", hcode=KUMPHAWAPI)
            for key, specialty in (("a", Specialty.NEUROLOGY), ("b", Specialty.NEUROSURGERY)):
                raise_alert(
                    session, AlertKind.CONSULT_ASKED, hcode=KUMPHAWAPI, study_id=study.id, path="/x", key=key,
                    specialty=specialty, at=night.at,
                )  # fmt: skip
        told = []
        for minutes in (0, 2, 3):
            night.mail.taken.clear()
            night.forward(minutes=minutes)
            told.append([len({to for to, message in night.mail.taken if message.alert == n}) for n in (1, 2)])
        assert told == [[1, 1], [2, 2], [6, 6]]
        first = [row.told for row in night.messages(1) if row.hop == 1]
        assert first == ["neuro-1", "neuro-2"]

    def test_hospitals_where_nobody_would_hear_are_known(self, night: Night) -> None:
        with session_scope(night.engine) as session:
            registered(session, "1.2.1", hcode=KUMPHAWAPI, received=START)
            registered(session, "1.2.2", hcode=LOEI, received=START)
            registered(session, "1.2.3", hcode="10704", received=START - timedelta(days=31))
            assert unreached(session, night.at) == [LOEI]
            add_contact(session, OPERATOR, Way.EMAIL, "er@x.example", hcode=LOEI)
            assert unreached(session, night.at) == []
            assert unreached(session, START + timedelta(days=3)) == [KUMPHAWAPI]

    def test_the_hospitals_own_contacts_hear_every_hop_and_who_rests_hears_none(self, night: Night) -> None:
        with session_scope(night.engine) as session:
            add_contact(session, OPERATOR, Way.WEBHOOK, "https://his.example/in", hcode=KUMPHAWAPI)
            quiet = (9 * 60, 11 * 60)
            add_contact(session, OPERATOR, Way.EMAIL, "office@x.example", hcode=KUMPHAWAPI, quiet=quiet)
        night.raise_flag()
        night.run()
        night.forward(minutes=2)
        assert night.hook.to == ["https://his.example/in"] * 2
        assert "office@x.example" not in night.mail.to
        night.forward(hours=1)
        assert "office@x.example" in night.mail.to

    def test_two_workers_take_one_hop_once(self, night: Night) -> None:
        number = night.raise_flag()
        again = Ladder(night.engine, clock=lambda: night.at)
        assert (night.ladder.climb(), again.climb()) == ([number], [])
        with session_scope(night.engine) as session:
            again._hop(session, number, night.alert(number).study_id, night.at)
        assert [each.hop for each in night.messages(number)] == [0]


class TestAlert:
    def test_the_same_key_is_the_same_alert_told_once(self, night: Night) -> None:
        with session_scope(night.engine) as session:
            study = registered(session, "1.2.3", hcode=KUMPHAWAPI)
            made = {
                raise_alert(
                    session, AlertKind.FLAG, hcode=KUMPHAWAPI, study_id=study.id, path="/x", key="k"
                ).id
                for _ in range(3)
            }
            actions = session.scalars(select(AuditEntry.action)).all()
        assert len(made) == 1
        assert actions.count("alert.raised") == 1

    def test_a_transaction_that_fails_raises_nothing(self, engine: Engine) -> None:
        def fail() -> None:
            with session_scope(engine) as session:
                study = registered(session, "1.2.3", hcode=KUMPHAWAPI)
                raise_alert(session, AlertKind.FLAG, hcode=KUMPHAWAPI, study_id=study.id, path="/x", key="k")
                raise RuntimeError("the disk is full")

        with pytest.raises(RuntimeError):
            fail()
        with session_scope(engine, write=False) as session:
            assert list_alerts(session, OPERATOR) == []

    def test_a_message_names_no_patient(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        [(_, message)] = night.mail.taken
        [row] = night.messages(number)
        assert message.link == f"https://hub.example/a/{row.token}"
        assert (message.case, message.hcode) == (case_number(night.alert(number).study_id), KUMPHAWAPI)
        assert not any(word in message.text + message.subject for word in (*NAME.split("^"), HN, "1.2.3"))

    def test_is_seen_by_its_hospital_and_by_the_hub_only_once_that_was_told(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        own, hub, other = (Viewer("x", Role.REFERRER, hcode) for hcode in (KUMPHAWAPI, UDON, LOEI))
        with session_scope(night.engine, write=False) as session:
            assert [each.id for each in list_alerts(session, own)] == [number]
            assert list_alerts(session, hub) == list_alerts(session, other) == []
            with pytest.raises(NotFound, match=f"no alert {number}"):
                find_alert(session, number, hub)
        night.forward(minutes=5)
        with session_scope(night.engine, write=False) as session:
            assert [each.id for each in list_alerts(session, hub)] == [number]
            assert list_alerts(session, other) == []

    def test_of_two_who_have_it_the_first_is_written_down(self, night: Night) -> None:
        number = night.raise_flag()
        for name in ("first", "second"):
            with session_scope(night.engine) as session:
                acknowledge(session, number, Viewer(name, Role.REFERRER, KUMPHAWAPI))
        assert night.alert(number).acknowledged_by == "first"
        with session_scope(night.engine, write=False) as session:
            assert session.scalars(select(AuditEntry.action)).all().count("alert.acknowledged") == 1

    def test_the_link_answers_for_whom_it_was_sent_to(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        night.forward(minutes=2)
        token = night.messages(number)[-1].token
        with session_scope(night.engine) as session:
            acknowledge_by_link(session, token)
            with pytest.raises(NotFound):
                acknowledge_by_link(session, "x" * 43)
        alert = night.alert(number)
        assert (alert.acknowledged_by, alert.acknowledged_through) == ("second", "link")

    def test_a_deed_answers_too(self, night: Night) -> None:
        number = night.raise_flag()
        with session_scope(night.engine) as session:
            acknowledge_key(session, night.alert(number).key, FIRST)
            assert acknowledge_key(session, "unknown", FIRST) is None
        assert night.alert(number).acknowledged_through == "deed"

    def test_whoever_follows_events_hears_of_it_and_of_each_hop(self, night: Night) -> None:
        number = night.raise_flag()
        night.run()
        night.forward(minutes=5)
        with session_scope(night.engine, write=False) as session:
            heard = [each for each in events_after(session, 0, limit=1000)[0] if each.kind == "alert"]
        assert [(each.what, sorted(each.hospitals)) for each in heard] == [
            ("raised", [KUMPHAWAPI]),
            ("hop", [UDON, KUMPHAWAPI]),
        ]
        assert {each.ids["alert"] for each in heard} == {number}


class TestQuiet:
    def test_what_can_wait_waits_for_the_morning_and_is_told_once(self, night: Night) -> None:
        night.at = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)  # eleven at night
        number = night.raise_flag(kind=AlertKind.REFUSED_WORK)
        rings = night.raise_flag("1.2.4")
        night.run()
        assert [message.alert for _, message in night.mail.taken] == [rings]
        night.forward(hours=6, minutes=59)
        assert night.messages(number) == []
        night.forward(minutes=1)
        assert [each.told for each in night.messages(number)] == ["first"]
        assert night.alert(number).state is AlertState.TOLD

    def test_over_the_budget_the_pages_come_first_and_then_the_whole_ladder(self, engine: Engine) -> None:
        night = Night(engine, Limits(flags_an_hour=2))
        night.on_call(KUMPHAWAPI, "first", "second")
        numbers = [night.raise_flag(f"1.2.{n}") for n in range(3)]
        night.run()
        assert len(night.mail.taken) == 2
        assert night.alert(numbers[2]).quiet == "budget"
        night.forward(minutes=2)
        assert [each.told for each in night.messages(numbers[2])] == ["first", "second"]

    def test_where_most_flags_were_wrong_the_same(self, engine: Engine) -> None:
        night = Night(engine, Limits(flags_an_hour=1000))
        night.on_call(KUMPHAWAPI, "first")
        reader = Viewer("reader", Role.RADIOLOGIST, None)
        with session_scope(engine) as session:
            for n in range(20):
                study = analysed(session, f"9.{n}", StrokeType.SDH, hcode=KUMPHAWAPI)
                review_finding(session, study, reader, Verdict.CORRECT, present=[])
        number = night.raise_flag()
        night.run()
        assert (night.alert(number).quiet, night.messages(number)) == ("precision", [])
        night.forward(minutes=2)
        assert [each.told for each in night.messages(number)] == ["first"]

    def test_a_study_that_somebody_has_does_not_ring_again_within_the_hour(self, night: Night) -> None:
        first = night.raise_flag()
        with session_scope(night.engine) as session:
            acknowledge(session, first, FIRST, at=night.at)
        night.at += timedelta(minutes=30)
        again = night.raise_flag()
        night.run()
        assert (night.alert(again).state, night.alert(again).quiet) == (AlertState.TOLD, "repeated")
        night.at += timedelta(hours=1)
        later = night.raise_flag()
        night.run()
        assert [message.alert for _, message in night.mail.taken] == [later]

    @pytest.mark.parametrize(
        ("hour", "wakes"), [(15, "2026-11-22T23:00"), (22, "2026-11-22T23:00"), (23, None), (14, None)]
    )
    def test_the_night_is_thai(self, hour: int, wakes: str | None) -> None:
        end = morning(datetime(2026, 11, 22, hour, 0, tzinfo=UTC))
        assert (end and end.strftime("%Y-%m-%dT%H:%M")) == wakes


class TestLines:
    def test_a_dead_channel_holds_up_no_other_and_gets_everything_once_it_is_back(self, night: Night) -> None:
        with session_scope(night.engine) as session:
            add_contact(session, OPERATOR, Way.WEBHOOK, "https://his.example/in", hcode=KUMPHAWAPI)
        night.mail.trouble = Unreachable("connection refused")
        numbers = [night.raise_flag(f"1.2.{n}") for n in range(5)]
        night.run()
        assert len(night.hook.taken) == 5
        for _ in range(6):
            night.forward(seconds=10)
        waiting = [each for number in numbers for each in night.messages(number) if each.way is Way.EMAIL]
        assert {each.state for each in waiting} == {TellState.WAITING}
        assert sum(each.attempts for each in waiting) < 8, "one knock for all that waits"
        night.mail.trouble = None
        night.forward(seconds=59)
        assert sorted(message.alert for _, message in night.mail.taken) == numbers
        proofs = [
            each.proof for number in numbers for each in night.messages(number) if each.way is Way.EMAIL
        ]
        assert sorted(proofs) == [f"taken {n}" for n in range(1, 6)]

    def test_a_full_box_delays_nobody_else(self, night: Night) -> None:
        first, second = night.raise_flag(), night.raise_flag("1.2.4")
        night.mail.trouble = Later("452 mailbox full")
        night.ladder.climb()
        night.messenger.tell({"line": "alert.email"})
        night.mail.trouble = None
        third = night.raise_flag("1.2.5")
        night.run()
        assert [message.alert for _, message in night.mail.taken] == [third]
        night.forward(seconds=30)
        assert [message.alert for _, message in night.mail.taken] == [third, first, second]

    def test_a_no_is_final_and_is_the_proof(self, night: Night) -> None:
        number = night.raise_flag()
        night.mail.trouble = Refused("550 no such user")
        night.run()
        [row] = night.messages(number)
        assert (row.state, row.proof, row.attempts) == (TellState.REFUSED, "550 no such user", 1)

    def test_what_cannot_even_be_written_holds_up_nobody(self, night: Night) -> None:
        first, second = night.raise_flag(), night.raise_flag("1.2.4")
        with session_scope(night.engine) as session:
            contact = session.get_one(Contact, 1)
            contact.address = "หมอ@x.example"  # as a row of an older hub may have it
        night.ladder.climb()
        with mail_server() as post:
            letters = Email(Server("127.0.0.1", post.port, "hub@hub.example", security=Security.OFF))
            night.channels[Way.EMAIL] = letters
            night.messenger.tell({"line": "alert.email"})
            with session_scope(night.engine) as session:
                session.get_one(Contact, 1).address = "doctor@x.example"
            third = night.raise_flag("1.2.5")
            night.run()
        assert [night.messages(each)[0].state for each in (first, second, third)] == [
            TellState.REFUSED,
            TellState.REFUSED,
            TellState.DELIVERED,
        ]
        assert "UnicodeEncodeError" in night.messages(first)[0].proof
        assert [to for to, _ in post.taken] == ["doctor@x.example"]

    def test_what_somebody_has_is_not_sent_any_more(self, night: Night) -> None:
        number = night.raise_flag()
        night.ladder.climb()
        with session_scope(night.engine) as session:
            acknowledge(session, number, FIRST)
        night.messenger.tell({"line": "alert.email"})
        assert night.mail.taken == []
        assert [each.state for each in night.messages(number)] == [TellState.WITHDRAWN]

    def test_a_restart_between_hop_and_sending_loses_nothing_and_doubles_nothing(self, night: Night) -> None:
        number = night.raise_flag()
        night.ladder.climb()
        later = Night(night.engine)  # everything that was in memory is gone
        for _ in range(3):
            later.run()
        assert [message.alert for _, message in later.mail.taken] == [number]

    def test_after_an_hour_it_is_given_up_with_the_reason(self, night: Night) -> None:
        number = night.raise_flag()
        night.mail.trouble = Unreachable("timed out")
        night.run()
        with session_scope(night.engine) as session:
            session.get_one(Alert, number).next_at = None
        night.forward(hours=1)
        [row] = night.messages(number)
        assert (row.state, row.proof) == (TellState.EXPIRED, "not in an hour; last: timed out")

    def test_a_way_that_the_hub_lacks_and_a_contact_that_is_gone_are_said(self, night: Night) -> None:
        with session_scope(night.engine) as session:
            line = add_contact(session, OPERATOR, Way.LINE, "U" + "0" * 32, username="first")
        number = night.raise_flag()
        night.ladder.climb()
        with session_scope(night.engine) as session:
            mail = night.messages(number)[0].contact_id or 0
            assert mail != line.id
            remove_contact(session, OPERATOR, find_contact(session, mail, OPERATOR))
        night.run()
        assert {each.proof for each in night.messages(number)} == {
            "the contact was removed",
            "this hub has no line: see its settings",
        }

    def test_the_next_look_is_put_in_line_for_when_the_line_is_tried_again(self, night: Night) -> None:
        night.mail.trouble = Unreachable("connection refused")
        night.raise_flag()
        night.run()
        [(line, moment)] = night.wakes
        assert line == "alert.email"
        assert moment is not None
        assert timedelta(seconds=5) <= moment - night.at <= timedelta(seconds=6.25)
        with session_scope(night.engine, write=False) as session:
            assert session.get_one(circuits.Circuit, "alert.email").failures == 1


class TestAnnouncements:
    def announced(self, session: Session, study: Study) -> list[Any]:
        for _ in range(2):
            announce_outcome(session, study)
        return [(each.kind, each.hcode, each.path) for each in list_alerts(session, OPERATOR)]

    def test_a_flag_is_announced_once(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SDH)
        assert self.announced(session, study) == [(AlertKind.FLAG, UDON, "/studies/1.2.3")]

    def test_clear_is_no_news(self, session: Session) -> None:
        assert self.announced(session, analysed(session, "1.2.3")) == []

    def test_a_silent_hospital_hears_nothing(self, session: Session) -> None:
        switch_mode(session, OPERATOR, UDON, Mode.SILENT)
        assert self.announced(session, analysed(session, "1.2.3", StrokeType.SDH)) == []

    def test_nor_does_an_upload_for_research_or_an_unknown_hospital(self, session: Session) -> None:
        upload = analysed(session, "1.2.3", StrokeType.SDH)
        upload.lane = Lane.RETROSPECTIVE
        assert self.announced(session, upload) == []
        assert self.announced(session, analysed(session, "1.2.4", StrokeType.SDH, hcode=None)) == []

    @pytest.mark.parametrize(
        ("reasons", "told"),
        [
            ([Refusal.MISSING_SLICES], True),
            ([Refusal.NOT_HEAD], False),
            ([Refusal.UNDER_18, Refusal.ARTEFACT], False),
        ],
    )
    def test_a_head_ct_that_was_not_judged_is_announced(
        self, session: Session, reasons: list[Refusal], told: bool
    ) -> None:
        study = registered(session)
        mark_refused(session, study, reasons)
        assert bool(self.announced(session, study)) == told

    def test_so_is_one_on_which_the_analysis_broke(self, session: Session) -> None:
        study = registered(session)
        mark_failed(session, study, "analyse", "disk full")
        assert self.announced(session, study) == [(AlertKind.REFUSED_WORK, UDON, "/studies/1.2.3")]
