"""Referrals on their way to MOPH Refer: told once, again when they change, never lost, never in the way."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from service import circuits
from service.accounts import OPERATOR, Role, Viewer
from service.db import now, session_scope
from service.errors import BadRequest, NotFound
from service.lanes import QUEUES, Lane
from service.moph.client import NRefer
from service.moph.keys import drop_keys, list_keys, set_keys
from service.moph.messages import (
    MessageKind,
    MessageState,
    MophMessage,
    hospitals_due,
    line_of,
    list_messages,
    send_again,
)
from service.moph.outbox import Outbox
from service.moph.reporter import Reporter
from service.orders import Orders
from service.referral_states import Reason, Verb
from service.referral_steps import (
    accept_referral,
    complete_referral,
    identify_patient,
    move_referral,
)
from service.referrals import Referral, find_referral
from service.reports import add_report
from service.settings import Settings
from service.studies import Study
from tests.service.factories import HN, NAME, UDON
from tests.service.moph.nrefer import API_KEY, SECRET_KEY, Ministry, ministry
from tests.service.referring import RECEIVER, SAKON, SENDER, SMALL, STRANGER, draft, requested, small_study


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead

    def forward(self, **how_far: float) -> None:
        self.ahead += timedelta(**how_far)


class Hub:
    """Outbox and reporter of one hub, called by hand where the engine would."""

    def __init__(self, engine: Engine, peer: Ministry) -> None:
        self.engine, self.peer, self.clock = engine, peer, Clock()
        self.woken: list[tuple[str, datetime | None]] = []
        self.swept: list[str] = []
        self.outbox = Outbox(engine, lambda hcode, at: self.swept.append(hcode), self.clock)
        self.reporter = Reporter(
            engine,
            NRefer(peer.url, provider="imaging-hub"),
            wake=lambda hcode, at: self.woken.append((hcode, at)),
            clock=self.clock,
        )

    def give_keys(self, *hcodes: str, secret: str = SECRET_KEY) -> None:
        with session_scope(self.engine) as session:
            for hcode in hcodes:
                set_keys(session, OPERATOR, hcode, api_key=API_KEY, secret_key=secret)

    def work(self) -> None:
        """One round of the outbox, and the jobs that it ordered."""
        for hcode in self.outbox.look():
            self.reporter.report({"hcode": hcode})

    def messages(self) -> dict[MessageKind, MophMessage]:
        with session_scope(self.engine, write=False) as session:
            return {each.kind: each for each in session.scalars(select(MophMessage))}

    def states(self) -> dict[str, str]:
        return {kind.value: each.state.value for kind, each in self.messages().items()}


@pytest.fixture
def hub(engine: Engine, caplog: pytest.LogCaptureFixture) -> Iterator[Hub]:
    """With the log as talkative as in a running hub, and nobody's name in it at the end."""
    with caplog.at_level(logging.INFO), ministry() as peer:
        yield Hub(engine, peer)
    said = "".join(str(record.__dict__) for record in caplog.get_records("call"))
    assert not any(word in said for word in (*NAME.split("^"), HN, SECRET_KEY))


def refer(hub: Hub, **changes: Any) -> int:
    with session_scope(hub.engine) as session:
        return requested(session, **changes).id


def act(hub: Hub, number: int, viewer: Viewer, verb: Verb, **more: Any) -> None:
    with session_scope(hub.engine) as session:
        referral = find_referral(session, number, viewer, lock=True)
        match verb:
            case Verb.ACCEPT:
                accept_referral(session, referral, viewer, version=None, **more)
            case Verb.COMPLETE:
                complete_referral(session, referral, viewer, version=None, **more)
            case _:
                move_referral(session, referral, viewer, verb, version=None, **more)


def test_a_journey_is_told_step_by_step_and_nothing_twice(hub: Hub) -> None:
    hub.give_keys(SMALL, UDON)
    number = refer(hub)
    hub.work()
    assert hub.peer.paths() == ["refer-history", "investigation-refer"]
    _, hcode, record = hub.peer.saved[0]
    assert (hcode, record["PTYPEDIS"], record["EMERGENCY"], record["PID"]) == (SMALL, "02", "2", HN)
    hub.work()
    assert len(hub.peer.saved) == 2

    act(hub, number, RECEIVER, Verb.ACCEPT, hn="0099")
    hub.work()
    assert hub.peer.paths()[2:] == ["refer-result"]
    assert hub.peer.saved[-1][1:] == (UDON, hub.peer.saved[-1][2])
    assert (hub.peer.saved[-1][2]["REFER_RESULT"], hub.peer.saved[-1][2]["PID_IN"]) == ("1", "0099")

    act(hub, number, SENDER, Verb.DEPART)  # says nothing new
    hub.work()
    assert len(hub.peer.saved) == 3
    act(hub, number, RECEIVER, Verb.ARRIVE)
    hub.work()
    act(hub, number, RECEIVER, Verb.COMPLETE, reply="craniotomy")
    hub.work()
    assert hub.peer.paths()[3:] == ["refer-result", "refer-result"]
    assert hub.peer.saved[-1][2]["reply_recommend"] == "craniotomy"
    assert hub.peer.logins == [SMALL, UDON]
    assert set(hub.states().values()) == {"sent"}


def test_a_rejection_is_told_with_its_reason(hub: Hub) -> None:
    hub.give_keys(UDON)
    number = refer(hub)
    act(hub, number, RECEIVER, Verb.REJECT, reason=Reason.NO_BED)
    hub.work()
    (_, hcode, record), *rest = hub.peer.saved
    assert rest == []  # the sending hospital has no keys
    assert (hcode, record["REFER_RESULT"], record["REASON"]) == (UDON, "2", "ไม่มีเตียง")


def test_what_changes_is_sent_again_under_the_same_number(hub: Hub) -> None:
    hub.give_keys(SMALL, UDON)
    number = refer(hub)
    act(hub, number, RECEIVER, Verb.ACCEPT, hn="0099")
    hub.work()
    with session_scope(hub.engine) as session:
        identify_patient(session, find_referral(session, number, RECEIVER), RECEIVER, "0100")
    with session_scope(hub.engine) as session:
        study = session.get_one(Study, session.get_one(Referral, number).study_id)
        add_report(session, study, Viewer("rad", Role.RADIOLOGIST, SMALL), "hemorrhage")
    hub.work()
    again = {path.rpartition("/")[2]: data for path, _, data in hub.peer.saved[3:]}
    assert sorted(again) == ["save-investigation-refer", "save-refer-result"]
    assert again["save-refer-result"]["PID_IN"] == "0100"
    assert again["save-investigation-refer"][0]["INVESTRESULT"] == "hemorrhage"
    referids = {data["REFERID"] for path, _, data in hub.peer.saved if path.endswith("history")}
    assert {row["REFERID"] for row in again["save-investigation-refer"]} == referids


def test_a_hospital_without_keys_and_what_was_before_the_keys_are_not_told(hub: Hub) -> None:
    refer(hub)
    hub.work()
    hub.give_keys(SMALL)
    hub.work()
    assert hub.messages() == {}
    with session_scope(hub.engine) as session:
        draft(session, small_study(session, "1.2.4"))
    hub.work()
    assert hub.peer.saved == []


def test_a_dead_moph_refer_is_knocked_at_ever_less_often_and_nothing_is_lost(hub: Hub) -> None:
    hub.give_keys(SMALL)
    refer(hub)
    hub.peer.judge = lambda path, data: (503, {})
    waits = []
    for _ in range(9):
        hub.work()
        with session_scope(hub.engine, write=False) as session:
            assert hospitals_due(session, hub.clock()) == []  # spared
            until = circuits.circuit_of(session, line_of(SMALL)).open_until
        assert until is not None
        waits.append((until - hub.clock()).total_seconds())
        assert hub.woken[-1][0] == SMALL
        hub.clock.forward(seconds=waits[-1] + 1)
    assert 4 < waits[0] < 7
    assert waits[-1] > 890
    assert waits[-1] <= 15 * 60 * 1.25
    assert "503" in hub.messages()[MessageKind.HISTORY].reason
    hub.peer.judge = Ministry.judge
    hub.work()
    assert hub.states() == {"history": "sent", "investigation": "sent"}
    assert hub.messages()[MessageKind.HISTORY].sent_at is not None


def test_after_72_hours_it_is_given_up_and_a_person_may_send_it_again(hub: Hub) -> None:
    hub.give_keys(SMALL)
    refer(hub)
    hub.peer.judge = lambda path, data: (503, {})
    hub.work()
    hub.clock.forward(hours=73)
    hub.work()
    assert set(hub.states().values()) == {"expired"}
    assert "503" in hub.messages()[MessageKind.HISTORY].reason
    hub.peer.judge = Ministry.judge
    with session_scope(hub.engine) as session:
        for each in list_messages(session, OPERATOR, states=[MessageState.EXPIRED]):
            send_again(session, OPERATOR, each.id, hub.clock())
    hub.work()
    assert set(hub.states().values()) == {"sent"}


def test_a_refusal_is_a_state_of_its_own_that_holds_up_no_other_and_names_nobody(hub: Hub) -> None:
    hub.give_keys(SMALL)
    refer(hub)
    family = NAME.split("^")[0]
    hub.peer.judge = lambda path, data: (
        (200, {"statusCode": 400, "message": f"PID {HN} of {family} is not known"})
        if path.endswith("history")
        else (200, {"statusCode": 200})
    )
    hub.work()
    assert hub.states() == {"history": "refused", "investigation": "sent"}
    reason = hub.messages()[MessageKind.HISTORY].reason
    assert reason == "statusCode 400 PID … of … is not known"
    hub.work()
    assert hub.states()["history"] == "refused"  # nobody tries it again by itself
    hub.peer.judge = Ministry.judge
    with session_scope(hub.engine) as session:
        number = list_messages(session, SENDER, states=[MessageState.REFUSED])[0].id
        assert list_messages(session, STRANGER) == []
        with pytest.raises(NotFound):
            send_again(session, STRANGER, number)
        send_again(session, OPERATOR, number, hub.clock())
        with pytest.raises(BadRequest, match="waiting"):
            send_again(session, OPERATOR, number)
    hub.work()
    assert hub.states()["history"] == "sent"


def test_a_record_that_the_server_stumbles_over_holds_up_no_other(hub: Hub) -> None:
    hub.give_keys(SMALL)
    refer(hub)
    hub.peer.judge = lambda path, data: (500, {}) if path.endswith("history") else (200, {"statusCode": 200})
    hub.work()
    hub.clock.forward(minutes=1)
    hub.work()
    assert hub.states() == {"history": "waiting", "investigation": "sent"}


def test_wrong_keys_hold_up_their_own_hospital_alone_until_there_are_better_ones(hub: Hub) -> None:
    hub.give_keys(SMALL, secret="wrong")
    hub.give_keys(UDON)
    number = refer(hub)
    act(hub, number, RECEIVER, Verb.ACCEPT)
    hub.work()
    assert hub.states() == {"history": "waiting", "investigation": "waiting", "result": "sent"}
    assert "keys are refused" in hub.messages()[MessageKind.HISTORY].reason
    hub.give_keys(SMALL)
    hub.clock.forward(seconds=10)
    hub.work()
    assert set(hub.states().values()) == {"sent"}


def test_without_its_keys_what_waits_of_a_hospital_is_withdrawn(hub: Hub) -> None:
    hub.give_keys(SMALL)
    refer(hub)
    hub.outbox.look()
    with session_scope(hub.engine) as session:
        drop_keys(session, OPERATOR, SMALL)
        assert list_keys(session) == []
        with pytest.raises(NotFound):
            drop_keys(session, OPERATOR, SMALL)
    assert set(hub.states().values()) == {"withdrawn"}
    hub.reporter.report({"hcode": SMALL})
    assert hub.peer.saved == []


def test_what_was_withdrawn_goes_when_there_are_keys_again_and_the_referral_goes_on(hub: Hub) -> None:
    hub.give_keys(SMALL)
    number = refer(hub)
    hub.outbox.look()
    with session_scope(hub.engine) as session:
        drop_keys(session, OPERATOR, SMALL)
    hub.give_keys(SMALL)
    act(hub, number, RECEIVER, Verb.ACCEPT)  # which changes nothing that the sending hospital says
    hub.work()
    assert hub.states() == {"history": "sent", "investigation": "sent"}


def test_what_changes_while_it_is_on_its_way_goes_after_it(hub: Hub) -> None:
    hub.give_keys(UDON)
    number = refer(hub)
    act(hub, number, RECEIVER, Verb.ACCEPT, hn="1")

    def meanwhile(path: str, data: Any) -> tuple[int, dict[str, Any]]:
        if data["PID_IN"] == "1":
            with session_scope(hub.engine) as session:
                identify_patient(session, find_referral(session, number, RECEIVER), RECEIVER, "2")
            hub.outbox.look()
        return 200, {"statusCode": 200}

    hub.peer.judge = meanwhile
    hub.work()
    hub.clock.forward(seconds=10)
    hub.work()
    assert [data["PID_IN"] for _, _, data in hub.peer.saved] == ["1", "2"]
    assert hub.states() == {"result": "sent"}


@pytest.mark.parametrize("key", ["", "x" * 201, "ก", "a\n"])
def test_keys_that_are_none(hub: Hub, key: str) -> None:
    with session_scope(hub.engine) as session, pytest.raises(BadRequest):
        set_keys(session, OPERATOR, SAKON, api_key=key, secret_key="x")


def test_without_an_address_nothing_is_sent(engine: Engine) -> None:
    Reporter(engine, None, wake=lambda *_: pytest.fail("woken")).report({"hcode": SMALL})


def test_its_jobs_wait_in_a_line_of_their_own(engine: Engine, settings: Settings) -> None:
    orders = Orders(engine, settings.jobs_database)
    at = now()
    orders.report(SMALL, at + timedelta(hours=1))
    orders.sweep_report(SMALL, at)
    orders.sweep_report(SMALL, at)
    waiting = orders.waiting()
    orders.close()
    assert (waiting["ministry"], waiting["outbound"], waiting["delivery"]) == (2, 0, 0)
    assert list(QUEUES.values()).count(QUEUES[Lane.MINISTRY]) == 1
