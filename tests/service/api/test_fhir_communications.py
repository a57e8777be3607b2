"""Communications over FHIR: what alerts and consults told, to whom, with the proof, and never too much."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role, Viewer
from service.alert_deliveries import lines_due
from service.alerts import AlertKind, Withdrawal, raise_alert
from service.audit import AuditEntry
from service.channels.message import Destination, Message, Refused
from service.consult_details import ConsultDetails, Outcome
from service.consult_messages import write_message
from service.consults import answer, ask, close
from service.contacts import Way, add_contact
from service.corrections import withdraw_flags
from service.db import session_scope
from service.grants import Because, end_grants
from service.hubs import choose_hub
from service.ladders import Ladder
from service.messengers import Messenger
from service.sight import find_study
from service.specialties import Specialty
from service.studies import Study
from tests.service.api.conftest import SignIn
from tests.service.api.test_fhir import search, valid
from tests.service.factories import HN, LOEI, NAME, UDON, analysed
from tests.service.test_consults import ADVICE

ASKER = Viewer("asker", Role.REFERRER, LOEI)
ADVISER = Viewer("adviser", Role.SPECIALIST, UDON)
AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


class Door:
    """A channel whose other side takes the first message, and none after it."""

    def __init__(self) -> None:
        self.taken = 0

    def send(self, message: Message, to: Destination) -> str:
        self.taken += 1
        if self.taken > 1:
            raise Refused("HTTP 410 gone", status=410)
        return "HTTP 204"


@pytest.fixture
def told(engine: Engine) -> None:
    """A flag at Loei that goes up the ladder to Udon, and a consult about it with two messages."""
    with session_scope(engine) as session:
        study = analysed(session, "1.2.3", StrokeType.IPH, hcode=LOEI)
        choose_hub(session, OPERATOR, LOEI, UDON)
        for hcode in (LOEI, UDON):
            add_contact(session, OPERATOR, Way.WEBHOOK, f"https://{hcode}.example/hook", hcode=hcode)
        raise_alert(
            session,
            AlertKind.FLAG,
            hcode=LOEI,
            study_id=study.id,
            path="/studies/1.2.3",
            key=f"flag:{study.id}:1",
            at=AT,
        )
    clock = AT
    ladder = Ladder(engine, clock=lambda: clock)
    messenger = Messenger(
        engine,
        {Way.WEBHOOK: Door()},
        titles={kind: ("ไทย", kind.value) for kind in AlertKind},
        address="https://hub.example",
        wake=lambda line, at: None,
        clock=lambda: clock + timedelta(seconds=2),
    )
    for minutes in (0, 5):
        clock = AT + timedelta(minutes=minutes)
        ladder.climb()
        with session_scope(engine, write=False) as session:
            due = lines_due(session, clock)
        for line in due:
            messenger.tell({"line": line})


@pytest.fixture
def talk(engine: Engine, told: None) -> int:
    with session_scope(engine) as session:
        consult = ask(
            session,
            ASKER,
            find_study(session, "1.2.3", ASKER),
            to_hcode=UDON,
            specialty=Specialty.NEUROLOGY,
            question="Thrombolysis?",
            details=ConsultDetails(nihss=14),
        )
        write_message(session, consult.id, ASKER, "please hurry", [12, 14])
        write_message(session, consult.id, ADVISER, "looking")
        return consult.id


def ids(client: Any, address: str) -> list[str]:
    return [valid(each)["id"] for each in search(client, f"Communication?{address}")]


def test_each_message_of_an_alert_tells_when_it_arrived_or_why_not(told: None, signed_in: SignIn) -> None:
    client = signed_in(Role.REFERRER, LOEI)
    found = [valid(each) for each in search(client, "Communication?category=alert&status=completed")]
    hook = next(each for each in found if each["medium"][0]["coding"][0]["code"] == "webhook")
    assert (hook["sent"], hook["received"]) == (
        "2026-11-22T10:00:00.000+07:00",
        "2026-11-22T10:00:02.000+07:00",
    )
    assert hook["note"] == [{"text": "HTTP 204"}]
    assert hook["recipient"] == [{"reference": f"Organization/{LOEI}"}]
    assert hook["payload"][0]["contentString"].startswith("flag: 00001-")
    assert hook["subject"]["reference"] == "Patient/p1"
    refused = [valid(each) for each in search(client, "Communication?status=not-done")]
    assert {each["statusReason"]["text"] for each in refused} == {"HTTP 410 gone"}
    assert all("received" not in each and "sent" not in each for each in refused)
    assert {each["identifier"][0]["value"] for each in (hook, *refused)} == {"1"}


def hide(engine: Engine) -> None:
    """The hub hospital, which the flag had been shown to, sees the study no more."""
    with session_scope(engine) as session:
        end_grants(session, because=Because.ALERT, subject=1, actor="test")


def test_a_hospital_that_was_only_told_learns_nothing_of_the_patient(
    told: None, signed_in: SignIn, engine: Engine
) -> None:
    hub = signed_in(Role.SPECIALIST, UDON)
    assert all(valid(each)["subject"] for each in search(hub, "Communication"))
    hide(engine)
    found = search(hub, "Communication")
    assert found
    assert all(not {"subject", "about"} & set(each) for each in found)
    for word in (*NAME.split("^"), HN, "1.2.3", "Patient/"):
        assert word not in hub.get("/fhir/Communication").text
    assert ids(hub, "subject=Patient/p1") == []
    third = signed_in(Role.SPECIALIST, "10704")
    assert search(third, "Communication") == []
    assert third.get(f"/fhir/Communication/{found[0]['id']}").status_code == 404


def test_both_sides_read_what_was_written_in_a_consult(talk: int, signed_in: SignIn, engine: Engine) -> None:
    for client in (signed_in(Role.REFERRER, LOEI), signed_in(Role.SPECIALIST, UDON)):
        found = search(client, f"Communication?based-on=Task/c1&sender={LOEI},{UDON}")
        second, first = (valid(each) for each in found)
        assert [each["contentString"] for each in first["payload"]] == ["please hurry", "slices 12, 14"]
        assert first["sender"] == {"reference": f"Organization/{LOEI}", "display": "asker"}
        assert first["recipient"] == [{"reference": f"Organization/{UDON}"}]
        assert second["recipient"] == [{"reference": f"Organization/{LOEI}"}]
        assert second["subject"]["reference"] == "Patient/p1"
    adviser = signed_in(Role.RADIOLOGIST, UDON)
    hide(engine)
    with session_scope(engine) as session:
        answer(session, talk, ADVISER, ADVICE)
        close(session, talk, ASKER, Outcome.TRANSFERRED)
    assert "subject" not in valid(adviser.get("/fhir/Communication/m1").json())


SEARCHES = {
    "_id=m1,m9,x": ["m1"],
    "_id=m2&status=completed&category=instruction": ["m2"],
    "_id=m2&status=not-done": [],
    f"recipient=Organization/{UDON}&category=instruction": ["m1"],
    "subject=Patient/p1&category=instruction&_count=1": ["m2"],
    "subject=Patient/p99": [],
    "sent=lt2026-11-22": [],
    "sent=2026-11-22&received=2026-11-22&_count=2": ["a4", "a3"],
    "received=2026-11-23&category=instruction": [],
    "based-on=Task/r1": [],
    "based-on=Task/c0": [],
    f"identifier=1&recipient=Organization/{UDON}&status=completed": ["a4"],
    "identifier=9": [],
}


def test_searches_find_what_they_are_about(talk: int, signed_in: SignIn) -> None:
    client = signed_in(Role.REFERRER, LOEI)
    assert {address: ids(client, address) for address in SEARCHES} == SEARCHES


def test_what_rings_for_a_consult_is_found_by_its_task(talk: int, signed_in: SignIn, engine: Engine) -> None:
    Ladder(engine).climb()
    client = signed_in(Role.SPECIALIST, UDON)
    found = search(client, "Communication?based-on=Task/c1&category=alert")
    assert [each["reasonCode"][0]["coding"][0]["code"] for each in found] == ["consult_asked"] * len(found)
    assert valid(found[0])["basedOn"] == [{"reference": "Task/c1"}]


def test_pages_go_from_one_table_on_to_the_next_and_give_each_once(talk: int, signed_in: SignIn) -> None:
    client = signed_in(Role.REFERRER, LOEI)
    whole = ids(client, "_count=100")
    url: str | None = "/fhir/Communication?_count=1"
    seen: list[str] = []
    while url:
        bundle = valid(client.get(url).json())
        seen += [each["resource"]["id"] for each in bundle.get("entry", [])]
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)
    assert seen == whole
    assert whole[:2] == ["m2", "m1"]
    assert len(set(whole)) == len(whole) > 4


def test_who_is_never_called_is_refused_and_what_is_read_is_audited(
    talk: int, signed_in: SignIn, engine: Engine
) -> None:
    assert signed_in(Role.TECHNICIAN, LOEI).get("/fhir/Communication").status_code == 403
    assert signed_in(Role.REFERRER, LOEI).get("/fhir/Communication/m1").status_code == 200
    with session_scope(engine, write=False) as session:
        row = session.scalars(select(AuditEntry).where(AuditEntry.action == "fhir.read")).one()
    assert (row.study_id, row.detail) == (1, {"kind": "Communication", "studies": [1]})


def test_a_message_that_takes_an_alert_back_says_so(told: None, signed_in: SignIn, engine: Engine) -> None:
    with session_scope(engine) as session:
        withdraw_flags(session, session.get_one(Study, 1), Withdrawal.CLEARED, "hub")
    found = search(signed_in(Role.REFERRER, LOEI), "Communication?category=alert&_count=50")
    back = [valid(each) for each in found if "withdrawn" in each["payload"][0]["contentString"]]
    assert back
    assert {each["reasonCode"][-1]["coding"][0]["code"] for each in back} == {"cleared"}
