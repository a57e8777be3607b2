"""A relay on a LAN and a hub over a bad link, both with real listeners: smaller, stroke first, complete."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless

from pacs_gateway.callers import Callers
from pacs_gateway.compress import Compression
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.pace import Pace
from pacs_gateway.peers import Peer
from pacs_gateway.relay import Relay
from pacs_gateway.relay_ledger import COMMITTED, REFUSED, SENT, WAITING, Ledger, Parcel
from pacs_gateway.relay_ways import DicomWay
from pacs_gateway.sender import PeerUnreachable, echo, send
from tests.hub import free_port
from tests.pacs import await_condition, small_pacs, write_study

ROOT = Path(__file__).parents[2]
SIDE = 96


class Site:
    """An inbox and, while it is up, a listener over it."""

    def __init__(self, folder: Path, ae_title: str) -> None:
        folder.mkdir()
        self.folder, self.ae_title, self.port = folder, ae_title, free_port()
        self.inbox = Inbox(folder / "inbox", reserve_bytes=0)
        self._listener: Listener | None = None

    def up(self) -> None:
        self._listener = Listener(
            self.inbox,
            Callers(self.folder / "callers.json"),
            ae_title=self.ae_title,
            host="127.0.0.1",
            port=self.port,
            learn=True,
            grace_seconds=1.0,
        )
        self._listener.start()

    def down(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    @property
    def peer(self) -> Peer:
        return Peer(self.ae_title, "127.0.0.1", self.port)

    def received(self) -> list[str]:
        """SOP Instance UIDs in the order received."""
        rows = [row for study in self.inbox.pending() for row in study.rows]
        paths = {row[0]: row[1] for row in rows}
        return [_uid(self.inbox.path_of(sha)) for sha in sorted(paths, key=lambda sha: paths[sha])]


def _uid(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    hub, lan = Site(tmp_path / "hub", "IMAGINGHUB"), Site(tmp_path / "lan", "RELAY")
    partner = {"ae_title": "RELAY", "host": "127.0.0.1", "port": lan.port, "hcode": None, "tls": False}
    (hub.folder / "peers.json").write_text(json.dumps({"peers": [partner]}))
    hub.up()
    lan.up()
    yield hub, lan
    for site in (hub, lan):
        site.down()
        site.inbox.close()


@pytest.fixture
def start(sites: tuple[Site, Site]) -> Iterator[Callable[..., Relay]]:
    """Starts a relay over the LAN's inbox, as often as wanted; all are closed at the end."""
    with ExitStack() as stack:

        def start_one(hub: Peer | None = None, compression: Compression = Compression.J2K) -> Relay:
            folder = sites[1].folder / "relay"
            relay = Relay(sites[1].inbox, folder, by_dicom(hub or sites[0].peer), compression=compression)
            stack.callback(relay.ledger.close)
            return relay

        yield start_one


def by_dicom(hub: Peer) -> DicomWay:
    return DicomWay(hub, pace=Pace(0), calling_ae="RELAY")


def receive(lan: Site, folder: Path, **study: object) -> list[Path]:
    """A scanner sends a study to the relay."""
    paths = write_study(folder, side=SIDE, **study)  # type: ignore[arg-type]
    assert all(each.stored for each in send(paths, lan.peer, calling_ae="CT1"))
    return paths


def carry(relay: Relay, until: Callable[[], object]) -> None:
    def done() -> object:
        relay.round()
        return until()

    await_condition(done, "the relay has done it")


def states(relay: Relay) -> dict[str, int]:
    return {state: count for state, (count, _, _) in relay.ledger.states().items()}


def test_study_crosses_in_fewer_bytes_and_is_let_go_once_committed(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path
) -> None:
    hub, lan = sites
    paths = receive(lan, tmp_path / "ct", slices=30)
    relay = start()
    carry(relay, lambda: states(relay) == {COMMITTED: 30} and not lan.inbox.pending())
    assert sorted(hub.received()) == sorted(map(_uid, paths))
    (_, size, sent_size) = relay.ledger.states()[COMMITTED]
    assert sent_size < size / 4
    sent = {_uid(path): dcmread(path) for path in paths}
    for study in hub.inbox.pending():
        for row in study.rows:
            there = dcmread(hub.inbox.path_of(row[0]))
            assert (there.pixel_array == sent[there.SOPInstanceUID].pixel_array).all()


def test_while_the_hub_does_not_commit_everything_is_kept(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path
) -> None:
    hub, lan = sites
    (hub.folder / "peers.json").write_text(json.dumps({"peers": []}))
    paths = receive(lan, tmp_path / "ct", slices=4)
    relay = start()
    carry(relay, lambda: states(relay) == {SENT: 4})
    relay.round()
    assert len(lan.inbox.pending()[0].rows) == len(paths)
    assert all(lan.inbox.path_of(row[0]).exists() for row in lan.inbox.pending()[0].rows)


def test_stroke_goes_before_what_came_earlier(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path
) -> None:
    hub, lan = sites
    receive(lan, tmp_path / "chest", study="1.2.3.1", slices=3, StudyDescription="CT CHEST")
    receive(lan, tmp_path / "head", study="1.2.3.2", slices=3, BodyPartExamined="HEAD")
    receive(lan, tmp_path / "stroke", study="1.2.3.3", slices=3, StudyDescription="CT stroke")
    relay = start()
    carry(relay, lambda: len(hub.received()) == 9)
    assert [uid.split(".")[3] for uid in hub.received()] == ["3"] * 3 + ["2"] * 3 + ["1"] * 3


def test_link_that_is_down_is_tried_ever_less_often_and_loses_nothing(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    hub, lan = sites
    hub.down()
    receive(lan, tmp_path / "ct", slices=4)
    now = [1000.0]
    relay = Relay(lan.inbox, lan.folder / "relay", by_dicom(hub.peer), clock=lambda: now[0])
    tried = []
    while len(tried) < 60:
        before = relay.failures
        relay.round()
        if relay.failures > before:
            tried.append(now[0])
        now[0] += 1.0
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert 2 <= waits[0] <= 4
    assert all(later >= 1.4 * earlier for earlier, later in pairwise(waits[:5]))
    assert all(120 <= wait <= 151 for wait in waits[8:])
    assert states(relay) == {WAITING: 4}
    hub.up()
    now[0] += 200
    relay.round()
    assert len(hub.received()) == 4
    relay.ledger.close()


def test_broken_association_costs_no_instance_twice(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path
) -> None:
    receive(sites[1], tmp_path / "ct", slices=6)
    with small_pacs(syntaxes=[JPEG2000Lossless]) as pacs:
        pacs.abort_after = 3
        relay = start(Peer("SMALLPACS", "127.0.0.1", pacs.port))
        carry(relay, lambda: states(relay) == {SENT: 6})
    uids = [uid for uid, _ in pacs.received]
    assert len(uids) == len(set(uids)) == 6


def test_relay_started_again_goes_on_where_it_was(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path
) -> None:
    hub, lan = sites
    receive(lan, tmp_path / "ct", slices=20)
    first = start()
    first.round()
    assert 0 < len(hub.received()) < 20
    first.ledger.close()
    second = start()
    carry(second, lambda: states(second) == {COMMITTED: 20})
    assert sum(receipt.duplicate for receipt in hub.inbox.receipts()) == 0


@pytest.mark.parametrize(
    ("taken", "rounds"), [(HTJ2KLossless, 1), (JPEG2000Lossless, 2), (ExplicitVRLittleEndian, 3)]
)
def test_a_hub_gets_what_it_takes_and_else_the_images_as_they_are(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path, taken: str, rounds: int
) -> None:
    receive(sites[1], tmp_path / "ct", slices=3)
    with small_pacs(syntaxes=[taken]) as pacs:
        relay = start(Peer("SMALLPACS", "127.0.0.1", pacs.port), Compression.HTJ2K)
        for _ in range(rounds):
            assert states(relay) in ({}, {WAITING: 3})
            relay.round()
        assert states(relay) == {SENT: 3}
    assert len(pacs.received) == 3


def test_what_the_hub_refuses_is_kept_and_named(
    sites: tuple[Site, Site], start: Callable[..., Relay], tmp_path: Path
) -> None:
    receive(sites[1], tmp_path / "ct", slices=2)
    with small_pacs(syntaxes=[JPEG2000Lossless]) as pacs:
        pacs.statuses = [0xC000]
        relay = start(Peer("SMALLPACS", "127.0.0.1", pacs.port))
        carry(relay, lambda: states(relay) == {REFUSED: 1, SENT: 1})
    assert len(sites[1].inbox.pending()[0].rows) == 2


def test_hub_relay_killed_in_the_middle_goes_on_when_started_again(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    hub, lan = sites
    lan.down()
    noise = np.random.default_rng(1)
    paths = write_study(tmp_path / "ct", slices=20, side=128)
    for path in paths:
        ds = dcmread(path)
        ds.PixelData = noise.integers(0, 2**15, (128, 128), np.uint16).tobytes()
        ds.save_as(path)
    environment = os.environ | {
        "HUB_DATA": str(lan.folder / "data"),
        "HUB_AE_TITLE": "RELAY",
        "HUB_DICOM_PORT": str(lan.port),
        "HUB_DISK_RESERVE_MB": "1",
        "HUB_RELAY_TO": str(hub.peer),
        "HUB_RELAY_TLS": "no",
        "HUB_RELAY_KBIT": "1600",
    }
    command = [sys.executable, "-m", "service", "relay", "--learn"]

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        await_condition(lambda: answers(lan.peer), "the relay listens")
        return process

    process = start()
    try:
        assert all(each.stored for each in send(paths, lan.peer, calling_ae="CT1"))
        await_condition(lambda: len(hub.received()) >= 3, "some have crossed")
        process.kill()
        process.wait()
        assert len(hub.received()) < 20
        process = start()
        book = lan.folder / "data" / "relay" / "relay.sqlite3"
        await_condition(lambda: committed(book) == 20, "the hub has committed to all")
    finally:
        process.kill()
        process.wait()
    assert len(hub.received()) == len(set(hub.received())) == 20


def answers(peer: Peer) -> bool:
    try:
        echo(peer, calling_ae="CT1")
    except PeerUnreachable:
        return False
    return True


def committed(book: Path) -> int:
    ledger = Ledger(book)
    try:
        return ledger.states().get(COMMITTED, (0, 0, 0))[0]
    finally:
        ledger.close()


class TestLedger:
    def test_what_the_hub_has_lost_is_sent_again(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "book")
        parcels = [Parcel(f"{n}" * 64, "1.2", "1.2.840", f"1.2.{n}", 10) for n in range(3)]
        ledger.add([(each, 1) for each in parcels])
        for each in parcels:
            ledger.note_sent(each.sha256, 5)
        ledger.note_asked(parcels, "2.25.1", 100.0)
        assert ledger.unasked(before=50.0, count=9) == []
        ledger.note_report("2.25.1", committed=["1.2.0", "1.2.1"], failed=["1.2.2"])
        assert ledger.next(9) == [parcels[2]]
        assert ledger.open_of("1.2") == 1
        ledger.close()

    def test_report_of_another_request_changes_nothing(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "book")
        parcel = Parcel("a" * 64, "1.2", "1.2.840", "1.2.9", 10)
        ledger.add([(parcel, 0)])
        ledger.note_sent(parcel.sha256, 5)
        ledger.note_asked([parcel], "2.25.1", 100.0)
        ledger.note_report("2.25.2", committed=["1.2.9"], failed=[])
        assert ledger.open_of("1.2") == 1
        ledger.close()
