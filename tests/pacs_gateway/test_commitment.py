"""Storage commitment both ways over real associations: asked, judged, reported, retried, and never lost."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from pacs_gateway.arrivals import digest_of
from pacs_gateway.callers import Sender
from pacs_gateway.commitment import (
    NotTold,
    Verdict,
    new_transaction_uid,
    report_commitments,
    request_commitment,
)
from pacs_gateway.commitments import DuplicateTransaction, Reference
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.peers import Peer
from pacs_gateway.sender import send
from tests.pacs import await_condition, write_study
from tests.pacs_gateway.conftest import Clock

CT, MR = str(CTImageStorage), str(MRImageStorage)


class Modality:
    """A scanner that asks for commitment and is told on an association that it accepts."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.told: list[tuple[str, int, list[str], dict[str, int]]] = []
        self.answers: list[int] = []
        """Statuses given one after the other; then success."""

    def take(self, event: evt.Event) -> tuple[int, None]:
        info = event.event_information
        ok = [str(item.ReferencedSOPInstanceUID) for item in info.get("ReferencedSOPSequence") or ()]
        bad = {
            str(item.ReferencedSOPInstanceUID): int(item.FailureReason)
            for item in info.get("FailedSOPSequence") or ()
        }
        if self.answers:
            return self.answers.pop(0), None
        self.told.append((str(info.TransactionUID), event.event_type, ok, bad))
        return 0x0000, None

    @contextmanager
    def listening(self) -> Iterator[None]:
        ae = AE(ae_title="CT1")
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)]
        )
        assert server is not None
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture
def modality() -> Modality:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Modality(probe.getsockname()[1])


@pytest.fixture
def hub(
    tmp_path: Path, listen: Callable[..., tuple[Inbox, Listener]], modality: Modality
) -> tuple[Inbox, Peer]:
    list_partner(tmp_path, modality.port)
    inbox, listener = listen()
    return inbox, Peer("IMAGINGHUB", "127.0.0.1", listener.port)


def list_partner(folder: Path, port: int, ae_title: str = "CT1") -> None:
    line = {"ae_title": ae_title, "host": "127.0.0.1", "port": port, "hcode": None, "tls": False}
    (folder / "peers.json").write_text(json.dumps({"peers": [line]}))


def sent(hub: Peer, folder: Path, slices: int = 3) -> list[Reference]:
    results = send(write_study(folder, slices=slices), hub, calling_ae="CT1")
    assert all(each.stored for each in results)
    return [(CT, each.sop_instance_uid) for each in results]


def test_what_is_durable_is_committed_and_the_rest_fails_with_its_reason(
    hub: tuple[Inbox, Peer], modality: Modality, tmp_path: Path
) -> None:
    stored = sent(hub[1], tmp_path / "study")
    asked = [*stored[:2], (MR, stored[2][1]), (CT, "1.2.3.999")]
    transaction = new_transaction_uid()
    with modality.listening():
        request_commitment(hub[1], asked, transaction_uid=transaction, calling_ae="CT1")
        ((told, event_type, ok, bad),) = await_condition(lambda: modality.told, "the report")
    assert (told, event_type) == (transaction, 2)
    assert ok == [uid for _, uid in stored[:2]]
    assert bad == {stored[2][1]: 0x0119, "1.2.3.999": 0x0112}
    (row,) = await_condition(
        lambda: [each for each in hub[0].commitments.requests() if each.told_at], "the row says told"
    )
    assert (row.committed, row.failed, row.last_error) == (2, 2, "")


def test_all_well_is_event_type_1(hub: tuple[Inbox, Peer], modality: Modality, tmp_path: Path) -> None:
    stored = sent(hub[1], tmp_path / "study")
    with modality.listening():
        request_commitment(hub[1], stored, transaction_uid=new_transaction_uid(), calling_ae="CT1")
        ((_, event_type, ok, bad),) = await_condition(lambda: modality.told, "the report")
    assert (event_type, len(ok), bad) == (1, 3, {})


def test_a_modality_that_is_away_is_told_when_it_is_back(
    hub: tuple[Inbox, Peer], modality: Modality, tmp_path: Path
) -> None:
    stored = sent(hub[1], tmp_path / "study")
    request_commitment(hub[1], stored, transaction_uid=new_transaction_uid(), calling_ae="CT1")
    (row,) = await_condition(
        lambda: [each for each in hub[0].commitments.requests() if each.attempts], "a first try"
    )
    assert "cannot be reached" in row.last_error
    with modality.listening():
        list_partner(tmp_path, modality.port, ae_title="CT1")  # any change of the list hurries
        await_condition(lambda: modality.told, "the report after all")


def test_a_partner_listed_later_is_told_without_a_restart(
    hub: tuple[Inbox, Peer], modality: Modality, tmp_path: Path
) -> None:
    list_partner(tmp_path, modality.port, ae_title="OTHER")
    stored = sent(hub[1], tmp_path / "study")
    with modality.listening():
        request_commitment(hub[1], stored, transaction_uid=new_transaction_uid(), calling_ae="CT1")
        (row,) = await_condition(
            lambda: [each for each in hub[0].commitments.requests() if each.attempts], "a first try"
        )
        assert "no partner in commitment with the AE title 'CT1' is listed" in row.last_error
        list_partner(tmp_path, modality.port)
        await_condition(lambda: modality.told, "the report")


LISTENER = """
import sys; from pathlib import Path; from pacs_gateway.listener import listen
root = Path(sys.argv[1])
port = int(sys.argv[2])
listen(root / "inbox", root / "callers.json", host="127.0.0.1", port=port, learn=True, reserve_bytes=0)
"""


def test_a_request_survives_kill_9(tmp_path: Path, modality: Modality) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    peer = Peer("IMAGINGHUB", "127.0.0.1", port)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", LISTENER, str(tmp_path), str(port)])

    process = start()
    try:
        await_condition(lambda: _open(port), "the listener listens")
        stored = sent(peer, tmp_path / "study")
        transaction = new_transaction_uid()
        request_commitment(peer, stored, transaction_uid=transaction, calling_ae="CT1")
        process.send_signal(signal.SIGKILL)
        process.wait()
        list_partner(tmp_path, modality.port)
        with modality.listening():
            process = start()
            ((told, event_type, ok, _),) = await_condition(lambda: modality.told, "the report")
    finally:
        process.kill()
        process.wait()
    assert (told, event_type, len(ok)) == (transaction, 1, 3)


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("what", ["no references", "no transaction", "action type 2", "garbage"])
def test_a_request_that_is_none_is_refused_with_a_status(
    hub: tuple[Inbox, Peer], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Dataset()
    if what != "no transaction":
        data.TransactionUID = "1.2.3"
    if what != "no references":
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.3.4"
        data.ReferencedSOPSequence = [item]
    if what == "garbage":
        monkeypatch.setattr("pynetdicom.association.encode", lambda *_: b"\xff" * 1000)
    ae = AE(ae_title="CT1")
    ae.add_requested_context(StorageCommitmentPushModel)
    association = ae.associate("127.0.0.1", hub[1].port, ae_title="IMAGINGHUB")
    status, _ = association.send_n_action(
        data,
        2 if what == "action type 2" else 1,
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )
    association.release()
    assert status.Status in (0x0115, 0x0110)
    assert hub[0].commitments.requests() == []


class TestRows:
    def test_the_same_again_is_reported_again_and_other_instances_are_refused(
        self, inbox: Inbox, sender: Sender
    ) -> None:
        inbox.commitments.ask(sender, "1.2", [(CT, "1.2.3")])
        (row,) = inbox.commitments.due()
        inbox.commitments.told(row.number, committed=0, failed=1)
        assert inbox.commitments.due() == []
        inbox.commitments.ask(sender, "1.2", [(CT, "1.2.3")])
        assert [each.number for each in inbox.commitments.due()] == [row.number]
        with pytest.raises(DuplicateTransaction):
            inbox.commitments.ask(sender, "1.2", [(CT, "1.2.4")])

    def test_retries_come_later_and_later_and_end_after_three_days(
        self, open_inbox: Callable[..., Inbox], sender: Sender, clock: Clock
    ) -> None:
        commitments = open_inbox(clock=clock).commitments
        commitments.ask(sender, "1.2", [(CT, "1.2.3")])
        pauses, started = [], clock()
        while row := next(iter(commitments.due()), None):
            commitments.not_told(row, "nobody there")
            before = clock()
            while not commitments.due() and clock() - before < 2000:
                clock.pass_by(max(1.0, pauses[-1] / 40) if pauses else 1.0)
            pauses.append(clock() - before)
        assert 3 <= pauses[0] <= 8
        assert pauses[0] < pauses[2] < pauses[5]
        assert 600 < pauses[-2] <= 1126
        assert 72 * 3600 <= clock() - started <= 74 * 3600
        (row,) = commitments.requests()
        assert (row.expired, row.told_at, row.last_error) == (True, None, "nobody there")

    def test_what_the_hub_has_taken_is_committed_after_the_inbox_let_it_go(
        self, open_inbox: Callable[..., Inbox], sender: Sender, clock: Clock, tmp_path: Path
    ) -> None:
        inbox = open_inbox(clock=clock)
        (path,) = write_study(tmp_path / "study", slices=1)
        inbox.add_part10(path, sender)
        clock.pass_by(120)
        (arrived,) = inbox.ready_studies()
        inbox.hand_over(arrived.study_instance_uid, digest_of(each.sha256 for each in arrived.instances))
        clock.pass_by(10)
        assert inbox.discard_taken(before=inbox.receipts()[0].opened_at.fromtimestamp(clock()).astimezone())
        reference = (CT, arrived.instances[0].sop_instance_uid)
        assert inbox.commitments.judge([reference]) == ([reference], [])

    def test_a_file_that_is_gone_is_not_committed(self, inbox: Inbox, sender: Sender, tmp_path: Path) -> None:
        (path,) = write_study(tmp_path / "study", slices=1)
        inbox.add_part10(path, sender)
        (kept,) = [each for each in (tmp_path / "inbox" / "instances").rglob("*") if each.is_file()]
        kept.unlink()
        assert inbox.commitments.judge([(CT, "1.2.3.1.1.1")]) == ([], [((CT, "1.2.3.1.1.1"), 0x0110)])


class TestAskingOthers:
    def test_a_peers_report_waits_until_it_is_taken(self, hub: tuple[Inbox, Peer]) -> None:
        inbox, peer = hub
        verdict = Verdict("1.2.3", [(CT, "1.2.3.1")], [((CT, "1.2.3.2"), 0x0112)])
        assert list(report_commitments(peer, [verdict], calling_ae="PACS")) == [None]
        (report,) = inbox.commitments.reports()
        assert (report.transaction_uid, report.calling_ae) == ("1.2.3", "PACS")
        assert (report.committed, report.failed) == (("1.2.3.1",), (("1.2.3.2", 0x0112),))
        inbox.commitments.take_report(report.number)
        inbox.commitments.take_report(report.number)
        assert inbox.commitments.reports() == []

    def test_a_peer_that_refuses_is_told_of(self, hub: tuple[Inbox, Peer]) -> None:
        with pytest.raises(NotTold, match="0115 no referenced SOP sequence"):
            request_commitment(hub[1], [], transaction_uid="1.2.3", calling_ae="CT1")


def test_twenty_requests_at_once_are_all_told(
    hub: tuple[Inbox, Peer], modality: Modality, tmp_path: Path
) -> None:
    stored = sent(hub[1], tmp_path / "study")
    transactions = [new_transaction_uid() for _ in range(20)]

    def ask(uid: str) -> None:
        request_commitment(hub[1], stored, transaction_uid=uid, calling_ae="CT1")

    with modality.listening():
        threads = [threading.Thread(target=ask, args=(uid,)) for uid in transactions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        await_condition(lambda: len(modality.told) >= 20, "every report")
    assert sorted(each[0] for each in modality.told) == sorted(transactions)
