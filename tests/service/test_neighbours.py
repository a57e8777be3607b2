"""Two hubs with rows of their own and a socket between: a referral's way, repeats, crossings, silence."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.task import Task
from sqlalchemy import Engine, select

from service import audit, circuits
from service.accounts import Role, Viewer
from service.alerts import Alert, AlertKind
from service.app import create_app
from service.db import make_engine, now, session_scope
from service.errors import AlreadyExists, BadRequest, NotFound, NotReady, NotSignedIn
from service.fhir.neighbour import request_bundle, step_task
from service.neighbour_couriers import NeighbourCourier
from service.neighbours import add_neighbour, neighbour_of, recognise, settle_hospitals, sign_request
from service.referral_links import (
    ReferralLink,
    line_of,
    link_requests,
    neighbours_due,
    remove_neighbour,
    shared_with,
)
from service.referral_states import FALLEN, Reason, ReferralState, Side, Verb, verbs_of
from service.referral_steps import (
    accept_referral,
    complete_referral,
    identify_patient,
    move_referral,
    steps_of,
)
from service.referrals import Referral, details_of
from service.settings import Settings
from service.sight import find_study
from tests.hub import free_port
from tests.service.factories import HN, LOEI, NAME, UDON, analysed
from tests.service.referring import RECEIVER, SENDER, SMALL, requested, small_study

pytestmark = pytest.mark.one_database

SECRET = "s" * 40
NAMED = "pair"
STRANGER = Viewer("stranger", Role.SPECIALIST, LOEI)


@dataclass
class Hub:
    """One of the two."""

    engine: Engine
    port: int
    data: Path

    @cached_property
    def courier(self) -> NeighbourCourier:
        return NeighbourCourier(self.engine, wake=lambda name, at: None)

    def tell(self) -> None:
        """What the dispatch and the worker do."""
        with session_scope(self.engine) as session:
            link_requests(session, now())
        self.courier.tell({"neighbour": NAMED})

    def referral(self, number: int = 1) -> Referral:
        with session_scope(self.engine, write=False) as session:
            return session.get_one(Referral, number)

    def link(self, number: int = 1) -> ReferralLink:
        with session_scope(self.engine, write=False) as session:
            return session.get_one(ReferralLink, number)

    def steps(self, number: int = 1) -> list[tuple[Verb, str]]:
        with session_scope(self.engine, write=False) as session:
            return [(each.verb, each.by) for each in steps_of(session, session.get_one(Referral, number))]

    def alerts(self) -> list[tuple[AlertKind, str]]:
        with session_scope(self.engine, write=False) as session:
            return [(each.kind, each.hcode) for each in session.scalars(select(Alert).order_by(Alert.id))]

    def due(self) -> list[str]:
        with session_scope(self.engine, write=False) as session:
            return neighbours_due(session, now())


@contextmanager
def served(settings: Settings, engine: Engine, port: int) -> Iterator[None]:
    """Its API on a socket until the block ends."""
    app = create_app(settings, engine=engine, enqueue=lambda *_: None)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def hubs(engine: Engine, settings: Settings, template: str, tmp_path: Path) -> Iterator[tuple[Hub, Hub]]:
    """A, where the small hospital lives, and B, where Udon does."""
    data = tmp_path / "b"
    data.mkdir()
    (data / "hub.sqlite").write_bytes(Path(template).read_bytes())
    url = f"sqlite:///{data / 'hub.sqlite'}"
    other = make_engine(url)
    a, b = Hub(engine, free_port(), settings.data), Hub(other, free_port(), data)
    for here, there, hospitals in ((a, b, [UDON]), (b, a, [SMALL])):
        with session_scope(here.engine) as session:
            add_neighbour(session, NAMED, f"http://127.0.0.1:{there.port}", hospitals, secret=SECRET)
    second = Settings(data=data, database_url=url, disk_reserve_mb=1)
    with served(settings, engine, a.port), served(second, other, b.port):
        yield a, b
    other.dispose()


def ask(a: Hub) -> None:
    with session_scope(a.engine) as session:
        requested(session, urgency=1)
    a.tell()


HOW: dict[Verb, dict[str, Any]] = {
    Verb.REJECT: {"reason": Reason.NO_BED},
    Verb.CANCEL: {"reason": Reason.PATIENT_REFUSED},
    Verb.FAIL: {"reason": Reason.TURNED_BACK},
    Verb.ACCEPT: {"hn": "650012"},
    Verb.COMPLETE: {"reply": "home on day 9"},
}


def act(hub: Hub, viewer: Viewer, verb: Verb, number: int = 1, **how: Any) -> None:
    with session_scope(hub.engine) as session:
        referral = session.get_one(Referral, number)
        if verb is Verb.ACCEPT:
            accept_referral(session, referral, viewer, version=None, **how)
        elif verb is Verb.COMPLETE:
            complete_referral(session, referral, viewer, version=None, **how)
        else:
            move_referral(session, referral, viewer, verb, version=None, **how)


class TestWay:
    def test_both_show_the_same_from_request_to_reply(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        there = b.referral()
        assert (there.state, there.from_hcode, there.to_hcode) == (ReferralState.REQUESTED, SMALL, UDON)
        with session_scope(a.engine, write=False) as session:
            (row,) = [row for row in audit.search(session) if row.action == "referral.shared"]
            assert row.detail == {"referral": 1, "from": SMALL, "to": UDON, "neighbour": 1}
        assert (there.urgency, there.serial) == (1, a.referral().serial)
        assert details_of(there) == details_of(a.referral())
        with session_scope(b.engine, write=False) as session:
            study = find_study(session, "1.2.3", RECEIVER)
            assert (study.patient_id, study.sex, study.instances, study.hcode) == (HN, "F", 0, None)
            assert NAME.split("^")[1] in study.patient_name
            with pytest.raises(NotFound):
                find_study(session, "1.2.3", STRANGER)
        for hub, viewer, verb, how in (
            (b, RECEIVER, Verb.RECEIVE, {}),
            (b, RECEIVER, Verb.ACCEPT, {"hn": "650012", "note": "bed 4"}),
            (a, SENDER, Verb.DEPART, {}),
            (b, RECEIVER, Verb.ARRIVE, {}),
            (b, RECEIVER, Verb.COMPLETE, {"reply": "home on day 9"}),
        ):
            act(hub, viewer, verb, **how)
            hub.tell()
            assert a.referral().state is b.referral().state
        here = a.referral()
        assert (here.receiver_hn, here.reply) == ("650012", "home on day 9")
        assert [verb for verb, _ in a.steps()] == [verb for verb, _ in b.steps()]
        assert a.steps()[2] == (Verb.ACCEPT, "pair/receiver")
        assert b.steps()[3] == (Verb.DEPART, "pair/sender")
        assert a.due() == b.due() == []
        # each hub rings for its own people, and for no others
        assert {hcode for _, hcode in a.alerts()} == {SMALL}
        assert {hcode for _, hcode in b.alerts()} == {UDON}

    def test_a_neighbour_goes_once_no_patient_is_on_the_way(self, hubs: tuple[Hub, Hub]) -> None:
        a, _ = hubs
        ask(a)
        with session_scope(a.engine) as session, pytest.raises(NotReady, match="1 referrals with"):
            remove_neighbour(session, NAMED)
        act(a, SENDER, Verb.CANCEL, reason=Reason.PATIENT_IMPROVED)
        with session_scope(a.engine) as session:
            remove_neighbour(session, NAMED)
            assert neighbour_of(session, UDON) is None
            assert shared_with(session, session.get_one(Referral, 1)) is None
            with pytest.raises(NotFound):
                remove_neighbour(session, NAMED)
        assert (a.referral().state, a.due()) == (ReferralState.CANCELLED, [])

    def test_a_rejection_comes_back_with_its_reason_and_ends_the_sight(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(b, RECEIVER, Verb.REJECT, reason=Reason.NO_BED, note="from noon on")
        b.tell()
        here = a.referral()
        assert (here.state, here.reason) == (ReferralState.REJECTED, Reason.NO_BED)
        assert (AlertKind.REFERRAL_ANSWERED, SMALL) in a.alerts()
        with session_scope(b.engine, write=False) as session, pytest.raises(NotFound):
            find_study(session, "1.2.3", RECEIVER)

    def test_a_number_told_or_corrected_later_comes_too(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(b, RECEIVER, Verb.ACCEPT)
        b.tell()
        for hn in ("1", "2"):
            with session_scope(b.engine) as session:
                identify_patient(session, session.get_one(Referral, 1), RECEIVER, hn)
            b.tell()
            assert a.referral().receiver_hn == hn
        assert b.due() == []

    def test_steps_taken_while_it_was_silent_are_told_in_order_with_their_times(
        self, hubs: tuple[Hub, Hub]
    ) -> None:
        a, b = hubs
        ask(a)
        for verb in (Verb.RECEIVE, Verb.ACCEPT, Verb.ARRIVE):
            act(b, RECEIVER, verb)
        b.tell()
        with session_scope(a.engine, write=False) as at_a, session_scope(b.engine, write=False) as at_b:
            one, two = (steps_of(session, session.get_one(Referral, 1)) for session in (at_a, at_b))
            assert [each.verb for each in one] == [each.verb for each in two]
            apart = [abs(each.at - other.at) for each, other in zip(one, two, strict=True)]
        assert max(apart) < timedelta(milliseconds=1)


class TestRepeats:
    def test_what_is_told_again_changes_nothing(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(b, RECEIVER, Verb.ACCEPT, hn="1")
        for _ in range(2):  # the second time as after a kill between sending and writing down
            with session_scope(b.engine) as session:
                link = session.get_one(ReferralLink, 1)
                link.sent_step, link.sent_version, link.sent_hn = 1, 1, ""
            b.tell()
        with session_scope(a.engine) as session:
            link = session.get_one(ReferralLink, 1)
            link.sent_step, link.sent_version, link.remote = 0, 0, None
        a.tell()
        assert a.link().remote == "r1"
        for hub in hubs:
            assert [verb for verb, _ in hub.steps()] == [Verb.REQUEST, Verb.ACCEPT]

    def test_a_dead_hub_is_spared_and_told_once_it_is_back(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        with session_scope(a.engine) as session:
            requested(session)
            neighbour = neighbour_of(session, UDON)
            assert neighbour is not None
            neighbour.url = f"http://127.0.0.1:{free_port()}"
        a.tell()
        assert a.due() == []  # until the circuit closes
        with session_scope(a.engine) as session:
            circuit = circuits.circuit_of(session, line_of(NAMED))
            assert circuit.failures == 1
            assert "ConnectError" in circuit.last_error
            neighbour = neighbour_of(session, UDON)
            assert neighbour is not None
            neighbour.url = f"http://127.0.0.1:{b.port}"
            circuits.close_circuit(session, line_of(NAMED))
        assert a.due() == [NAMED]
        a.tell()
        assert b.referral().state is ReferralState.REQUESTED


class TestCrossing:
    def test_the_home_has_the_last_word_and_the_other_side_is_told(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(b, RECEIVER, Verb.RECEIVE)
        act(b, RECEIVER, Verb.ACCEPT, hn="1")
        act(a, SENDER, Verb.CANCEL, reason=Reason.PATIENT_DIED)
        b.tell()  # the acceptance comes too late
        there = b.referral()
        assert (there.state, there.reason) == (ReferralState.CANCELLED, Reason.PATIENT_DIED)
        assert "HTTP 409" in b.link().trouble
        with session_scope(b.engine, write=False) as session:
            shared = shared_with(session, session.get_one(Referral, 1))
            assert shared is not None
            assert (shared.name, shared.told) == (NAMED, True)
        assert b.alerts()[-1] == (AlertKind.REFERRAL_ANSWERED, UDON)
        a.tell()
        assert a.referral().state is b.referral().state is ReferralState.CANCELLED
        assert (a.link().trouble, a.due(), b.due()) == ("", [], [])

    def test_the_homes_step_wins_too_where_it_comes_first(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(b, RECEIVER, Verb.ACCEPT)
        b.tell()
        act(b, RECEIVER, Verb.ARRIVE)
        act(a, SENDER, Verb.CANCEL, reason=Reason.PATIENT_REFUSED)
        a.tell()
        b.tell()
        assert a.referral().state is b.referral().state is ReferralState.CANCELLED
        assert (a.due(), b.due()) == ([], [])

    def test_an_arrival_that_crosses_the_departure_stands(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(b, RECEIVER, Verb.ACCEPT)
        b.tell()
        act(a, SENDER, Verb.DEPART)
        act(b, RECEIVER, Verb.ARRIVE)
        a.tell()
        assert b.referral().state is ReferralState.ARRIVED
        b.tell()
        assert a.referral().state is ReferralState.ARRIVED
        assert {verb for verb, _ in a.steps()} == {verb for verb, _ in b.steps()}

    def test_however_steps_cross_both_come_to_the_same(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        dice = random.Random(8)
        for number in range(1, 8):
            with session_scope(a.engine) as session:
                requested(session, small_study(session, f"1.2.{number}"))
            a.tell()
            for _ in range(8):
                hub, side, viewer = dice.choice(((a, Side.SENDER, SENDER), (b, Side.RECEIVER, RECEIVER)))
                legal = verbs_of(hub.referral(number).state, frozenset({side}))
                if legal and dice.random() < 0.7:
                    verb = dice.choice(legal)
                    act(hub, viewer, verb, number=number, **HOW.get(verb, {}))
                else:
                    dice.choice(hubs).tell()
            for hub in (*hubs, *hubs):
                hub.tell()
            here, there = a.referral(number), b.referral(number)
            assert here.state is there.state, number
            if here.state not in FALLEN:
                assert (here.receiver_hn, here.reply) == (there.receiver_hn, there.reply), number
            assert a.due() == b.due() == []

    def test_a_step_that_the_home_refuses_is_a_409_that_says_why(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        act(a, SENDER, Verb.CANCEL, reason=Reason.PATIENT_DIED)
        act(b, RECEIVER, Verb.ACCEPT)
        with session_scope(b.engine, write=False) as session:
            referral = session.get_one(Referral, 1)
            body = step_task(referral, steps_of(session, referral)[-1]) | {"id": "r1"}
        answer = put(a, "/neighbour/fhir/Task/r1", body)
        assert answer.status_code == 409
        assert "a referral that is cancelled cannot take 'accept'" in answer.json()["detail"]


def put(hub: Hub, path: str, body: Any, *, secret: str = SECRET, method: str = "PUT") -> httpx.Response:
    content, moment = json.dumps(body).encode(), str(int(now().timestamp()))
    headers = {
        "X-Hub-Neighbour": NAMED,
        "X-Hub-Timestamp": moment,
        "X-Hub-Signature": f"sha256={sign_request(secret, moment, method, path, content)}",
    }
    url = f"http://127.0.0.1:{hub.port}{path}"
    return httpx.request(method, url, content=content, headers=headers, verify=False)


class TestDoor:
    def test_it_opens_to_the_secret_alone(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        ask(a)
        assert put(b, "/neighbour/fhir/Task/r1", {}, secret="x" * 40).status_code == 401
        assert put(b, "/neighbour/fhir/Task/r1", {}).status_code == 400
        assert put(b, "/neighbour/fhir/Task/r2", None, method="GET").status_code == 404

    def test_nobody_speaks_for_a_hospital_that_lives_elsewhere(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        with session_scope(b.engine) as session:
            neighbour = neighbour_of(session, SMALL)
            assert neighbour is not None
            settle_hospitals(session, neighbour, [LOEI])
        ask(a)
        assert f"hospital '{SMALL}' does not live at neighbour" in a.link().trouble
        assert a.alerts() == [(AlertKind.REFERRAL_ANSWERED, SMALL)]
        assert a.due() == []
        with session_scope(b.engine, write=False) as session:
            assert session.scalars(select(Referral)).all() == []

    def test_a_study_of_a_third_hospital_is_not_shown_by_naming_it(self, hubs: tuple[Hub, Hub]) -> None:
        a, b = hubs
        with session_scope(b.engine) as session:
            analysed(session, "1.2.3", hcode=LOEI)
        ask(a)
        assert "another hospital's" in a.link().trouble
        with session_scope(b.engine, write=False) as session, pytest.raises(NotFound):
            find_study(session, "1.2.3", RECEIVER)

    def test_an_old_or_foreign_signature_is_refused(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            add_neighbour(session, NAMED, "https://b.example", [UDON], secret=SECRET)
            moment = int(now().timestamp())
            for shift, method in ((0, "PUT"), (-400, "POST"), (400, "POST")):
                stamp = str(moment + shift)
                how = {"name": NAMED, "timestamp": stamp, "path": "/x", "body": b"{}"}
                signature = f"sha256={sign_request(SECRET, stamp, 'POST', '/x', b'{}')}"
                with pytest.raises(NotSignedIn):
                    recognise(session, signature=signature, method=method, **how)  # type: ignore[arg-type]


class TestListing:
    def test_a_hospital_lives_at_one_neighbour(self, engine: Engine) -> None:
        with session_scope(engine) as session:
            made = add_neighbour(session, "one", "https://b.example/", [UDON])
            assert (made.url, len(made.secret)) == ("https://b.example", 43)
            with pytest.raises(AlreadyExists, match="lives at neighbour 'one'"):
                add_neighbour(session, "two", "https://c.example", [UDON])

    @pytest.mark.parametrize(
        ("name", "url", "secret"),
        [
            ("Ä", "https://b.example", ""),
            ("b", "ftp://b", ""),
            ("b", "https://b/x", ""),
            ("b", "https://b", "x"),
        ],
    )
    def test_what_cannot_be_is_named(self, engine: Engine, name: str, url: str, secret: str) -> None:
        with session_scope(engine) as session, pytest.raises(BadRequest):
            add_neighbour(session, name, url, [], secret=secret)


def test_the_transaction_and_its_tasks_are_valid_fhir(engine: Engine) -> None:
    with session_scope(engine) as session:
        referral = requested(session)
        step = steps_of(session, referral)[-1]
        bundle = request_bundle(session, referral, step)
        Bundle.model_validate(bundle)
        accept_referral(session, referral, RECEIVER, hn="1", version=None)
        Task.model_validate(step_task(referral, steps_of(session, referral)[-1]))
