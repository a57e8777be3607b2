"""Delivery to PACS that are slow, dead, restarted or picky, by workers that are killed: nothing is lost."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from pacs_gateway.inbox import Inbox
from pacs_gateway.peers import Peer as Remote
from service import circuits, deliveries, peers
from service.accounts import OPERATOR
from service.circuits import Circuit
from service.couriers import Courier
from service.db import session_scope
from service.deliveries import Delivery, DeliveryState, Parcel, Purpose, queue_delivery
from service.delivery_commitments import take_report
from service.delivery_lists import find_delivery
from service.dispatch import Dispatch
from service.orders import Orders
from service.settings import Settings
from service.storage import FolderStorage, Storage
from tests.orthanc import Orthanc
from tests.pacs import await_condition, small_pacs, write_slice
from tests.service.factories import UDON, registered

ROOT = Path(__file__).parents[2]
START = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **how_far: float) -> None:
        self.now += timedelta(**how_far)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return FolderStorage(settings.storage_folder)


class Post:
    """A courier, what it asks to be woken for, and the studies that it carries."""

    def __init__(self, engine: Engine, storage: Storage, clock: Clock, folder: Path) -> None:
        self.engine, self.storage, self.clock, self.folder = engine, storage, clock, folder
        self.wakes: list[tuple[str, datetime | None]] = []
        self.courier = Courier(
            engine,
            storage,
            remote=lambda peer: Remote(peer.ae_title, peer.host, peer.port),
            wake=lambda peer, at: self.wakes.append((peer, at)),
            calling_ae="IMAGINGHUB",
            clock=clock,
        )

    def add_peer(self, name: str, port: int, *, commits: bool = False) -> None:
        with session_scope(self.engine) as session:
            peers.add_peer(
                session,
                name,
                ae_title="SMALLPACS",
                host="127.0.0.1",
                port=port,
                hcode=UDON,
                objects=["sr"],
                roles=["destination", *(["commitment"] if commits else [])],
            )

    def move_peer(self, name: str, port: int) -> None:
        with session_scope(self.engine) as session:
            peers.change_peer(session, name, port=port)

    def queue(self, peer: str, study: str = "1.2.3", *, slices: int = 2, urgent: bool = False) -> int:
        parcels = []
        for number in range(1, slices + 1):
            path = write_slice(self.folder, study=study, number=number)
            uid = path.name.removesuffix(".0.dcm")
            key = self.storage.keep(path)
            parcels.append(Parcel("1.2.840.10008.5.1.4.1.1.2", uid, key, "sr"))
        with session_scope(self.engine) as session:
            row = registered(session, study)
            made = queue_delivery(
                session,
                row,
                peer,
                parcels,
                purpose=Purpose.RESULT,
                revision=row.revision,
                urgent=urgent,
                at=self.clock.now,
            )
            return made.id

    def run(self, peer: str) -> None:
        self.courier.deliver({"peer": peer})

    def delivery(self, number: int) -> Delivery:
        with session_scope(self.engine, write=False) as session:
            return find_delivery(session, number, OPERATOR)

    def circuit(self, peer: str) -> Circuit:
        with session_scope(self.engine) as session:
            return circuits.circuit_of(session, peer)


@pytest.fixture
def post(engine: Engine, storage: Storage, clock: Clock, tmp_path: Path) -> Post:
    return Post(engine, storage, clock, tmp_path / "files")


def closed_port() -> int:
    with small_pacs() as pacs:
        return pacs.port


def test_what_is_sent_is_stored_byte_for_byte_and_said_to_be(post: Post) -> None:
    with small_pacs() as pacs:
        post.add_peer("udon", pacs.port)
        number = post.queue("udon", slices=3)
        post.run("udon")
    delivery = post.delivery(number)
    assert (delivery.state, delivery.sent_at, delivery.attempts) == (DeliveryState.SENT, START, 1)
    assert {item["outcome"] for item in delivery.items} == {deliveries.STORED}
    assert len(pacs.received) == 3
    assert post.circuit("udon").last_success_at == START


def test_flagged_studies_leave_first(post: Post) -> None:
    with small_pacs() as pacs:
        post.add_peer("udon", pacs.port)
        post.queue("udon", "1.2.1")
        post.queue("udon", "1.2.2", urgent=True)
        post.run("udon")
    assert [uid.split(".")[2] for uid, _ in pacs.received] == ["2", "2", "1", "1"]


class TestDeadPacs:
    def test_is_knocked_at_ever_less_often_for_a_day_and_then_gets_everything_once(
        self, post: Post, clock: Clock
    ) -> None:
        post.add_peer("udon", closed_port())
        numbers = [post.queue("udon", f"1.2.{n}") for n in range(1, 4)]
        waits = []
        while clock.now < START + timedelta(days=1):
            before = clock.now
            post.run("udon")
            _, at = post.wakes.pop()
            assert at is not None
            assert not post.wakes
            waits.append((at - before).total_seconds())
            clock.now = at
        assert 5 <= waits[0] <= 6.25
        assert all(later >= earlier * 1.5 for earlier, later in pairwise(waits[:8]))
        assert all(900 <= wait <= 1125 for wait in waits[9:])
        assert len(waits) < 110, "one knock for all three studies"
        assert len(set(waits[9:])) > 50, "jitter"
        with small_pacs() as pacs:
            post.move_peer("udon", pacs.port)
            post.run("udon")
        assert [post.delivery(number).state for number in numbers] == [DeliveryState.SENT] * 3
        assert len(pacs.received) == len({uid for uid, _ in pacs.received}) == 6

    def test_says_why_and_when_it_is_tried_again(self, post: Post) -> None:
        port = closed_port()
        post.add_peer("udon", port)
        number = post.queue("udon")
        post.run("udon")
        delivery, circuit = post.delivery(number), post.circuit("udon")
        assert delivery.state is DeliveryState.WAITING
        assert f"SMALLPACS@127.0.0.1:{port} cannot be reached" in delivery.reason
        assert circuit.open_until == delivery.next_at == post.wakes[-1][1]
        assert circuit.failures == 1

    def test_is_given_up_after_72_hours_and_sent_when_somebody_asks_again(
        self, post: Post, clock: Clock, orders: Orders, inbox: Inbox
    ) -> None:
        post.add_peer("udon", closed_port())
        number = post.queue("udon")
        post.run("udon")
        clock.forward(hours=72, seconds=1)
        Dispatch(post.engine, orders, inbox, clock).round()
        expired = post.delivery(number)
        assert expired.state is DeliveryState.EXPIRED
        assert "cannot be reached" in expired.reason
        with small_pacs() as pacs:
            post.move_peer("udon", pacs.port)
            with session_scope(post.engine) as session:
                row = find_delivery(session, number, OPERATOR)
                deliveries.send_again(session, row, "somebody", clock.now)
            post.run("udon")
        assert post.delivery(number).state is DeliveryState.SENT


class TestPickyPacs:
    def test_refusal_for_good_is_final_and_named(self, post: Post) -> None:
        with small_pacs() as pacs:
            pacs.statuses = [0xA900, 0xC123]
            post.add_peer("udon", pacs.port)
            number = post.queue("udon")
            post.run("udon")
        delivery = post.delivery(number)
        assert delivery.state is DeliveryState.REFUSED
        assert "A900" in delivery.reason
        assert "C123" in delivery.reason

    def test_full_disk_is_tried_again_with_only_what_is_missing(self, post: Post, clock: Clock) -> None:
        with small_pacs() as pacs:
            pacs.statuses = [0x0000, 0xA700]
            post.add_peer("udon", pacs.port)
            number = post.queue("udon", slices=3)
            post.run("udon")
            waiting = post.delivery(number)
            assert (waiting.state, "A700" in waiting.reason) == (DeliveryState.WAITING, True)
            clock.now = waiting.next_at
            post.run("udon")
        assert post.delivery(number).state is DeliveryState.SENT
        sent = [uid for uid, _ in pacs.received]
        assert sent == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3", "1.2.3.1.2"]

    def test_what_it_takes_counts_and_what_it_does_not_is_named(self, post: Post) -> None:
        with small_pacs() as pacs:
            pacs.statuses = [0x0122]
            post.add_peer("udon", pacs.port)
            number = post.queue("udon")
            post.run("udon")
        delivery = post.delivery(number)
        assert delivery.state is DeliveryState.SENT
        assert "not taken: sr: status 0122" in delivery.reason

    def test_association_broken_in_the_middle_goes_on_where_it_broke(self, post: Post, clock: Clock) -> None:
        with small_pacs() as pacs:
            pacs.abort_after = 2
            post.add_peer("udon", pacs.port)
            number = post.queue("udon", slices=4)
            post.run("udon")
            clock.now = post.delivery(number).next_at
            post.run("udon")
        assert post.delivery(number).state is DeliveryState.SENT
        assert len(pacs.received) == 4


class TestCommitment:
    """A peer that commits, as far as rows go; `tests/test_delivery.py` has a real one."""

    @pytest.fixture
    def asked(self, post: Post, clock: Clock) -> Iterator[tuple[int, str]]:
        """A delivery that is sent, and the transaction it was asked about under."""
        with small_pacs() as pacs:
            post.add_peer("udon", pacs.port, commits=True)
            number = post.queue("udon")
            post.run("udon")
            uid = post.delivery(number).transaction_uid
            assert uid
            yield number, uid

    def report(self, post: Post, uid: str, *failed: str) -> None:
        with session_scope(post.engine) as session:
            take_report(session, uid, failed, post.clock.now)

    def test_report_ends_the_delivery(self, post: Post, clock: Clock, asked: tuple[int, str]) -> None:
        number, uid = asked
        assert post.delivery(number).state is DeliveryState.SENT
        self.report(post, uid)
        self.report(post, uid)
        delivery = post.delivery(number)
        assert (delivery.state, delivery.committed_at) == (DeliveryState.COMMITTED, clock.now)

    def test_report_on_another_transaction_changes_nothing(self, post: Post, asked: tuple[int, str]) -> None:
        self.report(post, "2.25.1")
        assert post.delivery(asked[0]).state is DeliveryState.SENT

    def test_what_was_lost_is_sent_again_and_nothing_else(
        self, post: Post, clock: Clock, asked: tuple[int, str]
    ) -> None:
        number, uid = asked
        self.report(post, uid, "1.2.3.1.2")
        delivery = post.delivery(number)
        assert delivery.state is DeliveryState.WAITING
        assert delivery.reason == "1 of 2 instances were not committed to"
        assert [item["outcome"] for item in delivery.items] == [deliveries.STORED, ""]
        clock.now = delivery.next_at
        post.run("udon")
        again = post.delivery(number)
        assert (again.state, again.transaction_uid != uid) == (DeliveryState.SENT, True)

    def test_silence_is_asked_again_until_72_hours_are_over(
        self, post: Post, clock: Clock, orders: Orders, inbox: Inbox, asked: tuple[int, str]
    ) -> None:
        number, uid = asked
        dispatch, transactions = Dispatch(post.engine, orders, inbox, clock), {uid}
        assert dispatch.round() == []
        while (now := post.delivery(number)).transaction_uid is not None:
            clock.now = now.next_at
            assert dispatch.round() == ["udon"]
            post.run("udon")
            transactions.add(post.delivery(number).transaction_uid or "")
        assert clock.now >= START + timedelta(hours=72)
        assert 8 < len(transactions) < 20, "ever less often"
        assert post.delivery(number).reason == "stored, but not committed to in 72 h"
        assert dispatch.round() == []


def test_peer_that_was_removed_or_disabled(post: Post) -> None:
    with small_pacs() as pacs:
        post.add_peer("udon", pacs.port)
        number = post.queue("udon")
        with session_scope(post.engine) as session:
            peers.change_peer(session, "udon", enabled=False)
        post.run("udon")
        assert post.delivery(number).state is DeliveryState.WAITING
        with session_scope(post.engine) as session:
            peers.remove_peer(session, "udon")
        post.run("udon")
    assert post.delivery(number).state is DeliveryState.REFUSED
    assert "no peer 'udon'" in post.delivery(number).reason
    assert not pacs.received


def test_newer_result_takes_the_place_of_one_that_waits(post: Post, clock: Clock) -> None:
    first = post.queue("udon")
    with session_scope(post.engine) as session:
        row = registered(session, "1.2.3")
        parcels = [Parcel("1.2", "9.9", "a" * 64, "sr")]
        new = queue_delivery(session, row, "udon", parcels, purpose=Purpose.RESULT, revision=2, at=clock.now)
        again = queue_delivery(
            session, row, "udon", parcels, purpose=Purpose.RESULT, revision=2, at=clock.now
        )
        assert again is new
    assert post.delivery(first).state is DeliveryState.WITHDRAWN
    assert post.delivery(first).reason == "revision 2 took its place"


def test_dispatch_orders_a_look_for_what_is_due_and_spares_the_dead(
    post: Post, clock: Clock, orders: Orders, inbox: Inbox
) -> None:
    dispatch = Dispatch(post.engine, orders, inbox, clock)
    post.add_peer("udon", closed_port())
    post.queue("udon")
    assert dispatch.round() == ["udon"]
    post.run("udon")
    assert dispatch.round() == []
    clock.forward(seconds=7)
    assert dispatch.round() == ["udon"]


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    yield inbox
    inbox.close()


@pytest.fixture
def orders(engine: Engine, settings: Settings) -> Orders:
    return Orders(engine, f"sqlite:///{settings.data / 'jobs.sqlite'}")


SENDER = """
import sys
from pathlib import Path
from pacs_gateway.peers import Peer
from service.couriers import Courier
from service.db import make_engine
from service.storage import FolderStorage
courier = Courier(make_engine(sys.argv[1]), FolderStorage(Path(sys.argv[2])),
    remote=lambda peer: Peer(peer.ae_title, peer.host, peer.port),
    wake=lambda peer, at: None, calling_ae="HUB")
courier.deliver({"peer": "udon"})
"""


def test_worker_killed_in_the_middle_of_sending_loses_nothing(
    post: Post, database_url: str, settings: Settings
) -> None:
    gate = threading.Event()
    with small_pacs() as pacs:
        pacs.before = lambda received: gate.wait(20) if received == 2 else None
        post.add_peer("udon", pacs.port)
        number = post.queue("udon", slices=5)
        with session_scope(post.engine) as session:
            session.scalars(select(Delivery)).one().give_up_at = datetime(2100, 1, 1, tzinfo=UTC)
        command = [sys.executable, "-c", SENDER, database_url, str(settings.storage_folder)]
        child = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        try:
            await_condition(lambda: len(pacs.received) == 2, "two instances are there")
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        gate.set()
        assert post.delivery(number).state is DeliveryState.WAITING
        post.run("udon")
    assert post.delivery(number).state is DeliveryState.SENT
    assert {uid for uid, _ in pacs.received} == {f"1.2.3.1.{n}" for n in range(1, 6)}


def test_orthanc_killed_in_the_middle_and_started_again_has_everything(
    post: Post, clock: Clock, tmp_path: Path
) -> None:
    pacs = Orthanc(tmp_path / "orthanc")
    pacs.start()
    try:
        post.add_peer("udon", pacs.port)
        number = post.queue("udon", slices=60)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(post.run, "udon")
            await_condition(lambda: len(pacs.instances()) >= 5, "some instances are there")
            pacs.kill()
            sending.result()
        delivery = post.delivery(number)
        assert delivery.state is DeliveryState.WAITING
        clock.now = delivery.next_at
        post.run("udon")
        clock.now = post.delivery(number).next_at
        assert post.circuit("udon").failures == 2, "still down"
        pacs.start()
        post.run("udon")
        assert post.delivery(number).state is DeliveryState.SENT
        assert pacs.instances() == {f"1.2.3.1.{n}" for n in range(1, 61)}
    finally:
        pacs.close()
