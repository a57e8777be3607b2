import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from struct import pack

import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
)
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from pacs_gateway import status
from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Callers
from pacs_gateway.headers import read_header
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener, NotListening
from pacs_gateway.seal import is_whole
from pacs_gateway.sender import Peer, PeerUnreachable, echo, send
from pacs_gateway.upper_layer import INVALID_PARAMETER, UNEXPECTED_PDU, UNRECOGNISED_PDU
from tests.pacs import await_condition, make_slice, write_study
from tests.pacs_gateway.wire import ECHO_RQ, STORE_RQ, RawCaller, command, p_data

Listen = Callable[..., tuple[Inbox, Listener]]
ROOT = Path(__file__).parents[2]


def data_set(**options: object) -> bytes:
    ds = make_slice(**options)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, ds)
    return buffer.getvalue()


def totals(inbox: Inbox) -> dict[str, int]:
    receipts = inbox.receipts()
    return {
        name: sum(getattr(r, name) for r in receipts)
        for name in ("stored", "duplicate", "conflict", "refused")
    }


def endings(inbox: Inbox) -> list[Ending | None]:
    return [receipt.ending for receipt in inbox.receipts()]


class TestEcho:
    def test_pynetdicom_is_answered(self, listen: Listen) -> None:
        _, listener = listen()
        echo(Peer("IMAGINGHUB", "127.0.0.1", listener.port))

    def test_several_on_one_association(self, listen: Listen) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            for _ in range(3):
                caller.send(p_data(3, 3, command(ECHO_RQ, sop_class=Verification, data_set=False)))
                assert caller.answer() == (status.SUCCESS, "")
            caller.release()


class TestStore:
    def test_pynetdicom_stores_a_study(self, listen: Listen, tmp_path: Path) -> None:
        inbox, listener = listen()
        ae = AE(ae_title="UDON_CT1")
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", listener.port)
        assert [association.send_c_store(make_slice(number=n)).Status for n in range(1, 31)] == [0] * 30
        association.release()
        (study,) = await_condition(inbox.ready_studies, "study ready")
        assert len(study.instances) == 30
        assert endings(inbox) == [Ending.RELEASED]

    @pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk's storescu is not on PATH")
    def test_storescu_stores_a_study(self, listen: Listen, tmp_path: Path) -> None:
        inbox, listener = listen()
        paths = [str(path) for path in write_study(tmp_path)]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        subprocess.run(["echoscu", "127.0.0.1", str(listener.port)], check=True, env=environment)
        subprocess.run(["storescu", "127.0.0.1", str(listener.port), *paths], check=True, env=environment)
        (study,) = await_condition(inbox.ready_studies, "study ready")
        assert len(study.instances) == 30

    @pytest.mark.skipif(shutil.which("findscu") is None, reason="dcmtk is not on this machine")
    @pytest.mark.parametrize("ask", ["findscu", "getscu"])
    def test_who_asks_what_is_here_is_told_that_it_is_not_answered(self, listen: Listen, ask: str) -> None:
        inbox, listener = listen()
        question = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3"]
        asked = subprocess.run(
            [ask, *question, "127.0.0.1", str(listener.port)], capture_output=True, text=True, timeout=30
        )
        assert asked.returncode != 0
        assert "Presentation Contexts" in asked.stderr  # none of those asked for was accepted
        assert inbox.ready_studies() == []
        subprocess.run(["echoscu", "127.0.0.1", str(listener.port)], check=True)

    def test_fragments_of_any_size(self, listen: Listen) -> None:
        inbox, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            for number, size in enumerate((7, 1000, 131066), 1):
                assert caller.store(f"1.2.3.1.1.{number}", data_set(number=number, side=300), size=size) == (
                    0,
                    "",
                )
            caller.release()
        assert totals(inbox)["stored"] == 3

    def test_an_empty_first_fragment_changes_nothing(self, listen: Listen) -> None:
        inbox, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.send(p_data(1, 3, command(1, sop_class=CTImageStorage, sop_instance="1.2.3.1.1.1")))
            caller.send(p_data(1, 0, b""))
            caller.send(p_data(1, 2, data_set()))
            assert caller.answer() == (0, "")
            caller.release()
        (kept,) = (inbox.root / "instances").rglob("*/*")
        assert is_whole(kept)

    def test_the_same_again_is_success(self, listen: Listen) -> None:
        inbox, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            assert [caller.store("1.2.3.1.1.1", data_set())[0] for _ in range(3)] == [0, 0, 0]
            assert caller.store("1.2.3.1.1.1", data_set(pixel=1))[0] == 0
            caller.release()
        assert totals(inbox) == {"stored": 1, "duplicate": 2, "conflict": 1, "refused": 0}

    def test_no_patient_in_the_log(self, listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.store("1.2.3.1.1.1", data_set(PatientName="Secret^Name", PatientID="HN-SECRET"))
            caller.store("1.2.3.1.1.9", data_set(PatientName="Secret^Name", PatientID="HN-SECRET"))
        assert "ecret" not in caplog.text
        assert "SECRET" not in caplog.text


class TestNegotiation:
    def test_every_storage_class_is_accepted_and_nothing_else(self, listen: Listen) -> None:
        _, listener = listen()
        private, find = "1.3.12.2.1107.5.99.3.10", StudyRootQueryRetrieveInformationModelFind
        unknown = "1.2.840.10008.5.1.4.1.1.987"
        with RawCaller(listener.port) as caller:
            answers = caller.associate(
                CTImageStorage, private, unknown, "1.2.840.10008.5.1.4.1.1.88.67", find, Verification
            )
        assert [result for result, _ in answers.values()] == [0, 0, 0, 0, 3, 0]

    @pytest.mark.parametrize(
        ("proposed", "chosen"),
        [
            ((ImplicitVRLittleEndian, JPEG2000, ExplicitVRLittleEndian), ExplicitVRLittleEndian),
            ((ImplicitVRLittleEndian, JPEG2000, JPEGLosslessSV1), JPEGLosslessSV1),
            ((ImplicitVRLittleEndian,), ImplicitVRLittleEndian),
        ],
    )
    def test_the_transfer_syntax_is_chosen_in_our_order(
        self, listen: Listen, proposed: tuple[str, ...], chosen: str
    ) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            assert caller.associate(CTImageStorage, syntaxes=proposed) == {1: (0, chosen)}

    def test_unknown_callers_are_rejected(self, listen: Listen) -> None:
        _, listener = listen(learn=False)
        with pytest.raises(PeerUnreachable, match="alling AE title not recognised"):
            echo(Peer("IMAGINGHUB", "127.0.0.1", listener.port))

    def test_the_called_title_matters_only_when_configured(self, listen: Listen) -> None:
        _, listener = listen(require_called_ae=True)
        echo(Peer("IMAGINGHUB", "127.0.0.1", listener.port))
        with pytest.raises(PeerUnreachable, match="alled AE title not recognised"):
            echo(Peer("ELSEWHERE", "127.0.0.1", listener.port))

    def test_too_many_associations_are_told_to_try_again(self, listen: Listen) -> None:
        _, listener = listen(max_associations=1)
        with RawCaller(listener.port) as first, RawCaller(listener.port) as second:
            first.associate()
            with pytest.raises(AssertionError, match="PDU type 3"):
                second.associate()
            first.release()

        def room() -> bool:
            try:
                echo(Peer("IMAGINGHUB", "127.0.0.1", listener.port))
            except PeerUnreachable:
                return False
            return True

        await_condition(room, "room again")


class TestBadInput:
    def neighbours_survive(
        self, listener: Listener, inbox: Inbox, bad: bytes, uid: str = "1.2.3.1.1.2"
    ) -> tuple[int, str]:
        with RawCaller(listener.port) as caller:
            caller.associate()
            assert caller.store("1.2.3.1.1.1", data_set(number=1))[0] == 0
            answer = caller.store(uid, bad)
            assert caller.store("1.2.3.1.1.3", data_set(number=3))[0] == 0
            caller.release()
        assert (totals(inbox)["stored"], totals(inbox)["refused"]) == (2, 1)
        return answer

    @pytest.mark.parametrize(
        "bad",
        [
            b"Dear colleague, this is a letter.\n" * 99,
            b"\0",
            data_set(number=2)[:-50],
            data_set(number=2)[:123],
            bytes(4000),
        ],
        ids=["text", "one byte", "pixels cut off", "header cut off", "zeros"],
    )
    def test_a_malformed_data_set_is_quarantined(self, listen: Listen, bad: bytes) -> None:
        inbox, listener = listen()
        code, comment = self.neighbours_survive(listener, inbox, bad)
        assert code == status.CANNOT_UNDERSTAND
        assert comment
        (refusal,) = [refusal for receipt in inbox.receipts() for refusal in receipt.refusals]
        assert (refusal.status, refusal.sop_instance_uid) == (status.CANNOT_UNDERSTAND, "1.2.3.1.1.2")
        assert refusal.quarantined is not None
        assert refusal.quarantined.read_bytes().endswith(bad)

    def test_another_instance_than_announced_is_a_mismatch(self, listen: Listen) -> None:
        inbox, listener = listen()
        assert self.neighbours_survive(listener, inbox, data_set(number=9))[0] == status.DATA_SET_MISMATCH
        assert {r.study_instance_uid: r.refused for r in inbox.receipts()} == {"1.2.3.1": 1}

    def test_a_full_disk_is_said_to_be_full(self, listen: Listen, open_inbox: Callable[..., Inbox]) -> None:
        inbox, listener = listen(open_inbox(reserve_bytes=1 << 60))
        with RawCaller(listener.port) as caller:
            caller.associate()
            assert [caller.store("1.2.3.1.1.1", data_set())[0] for _ in range(2)] == [
                status.OUT_OF_RESOURCES
            ] * 2
            caller.release()
        assert totals(inbox)["refused"] == 2
        assert list((inbox.root / "quarantine").iterdir()) == []

    def test_an_instance_too_large_is_refused_and_the_next_taken(
        self, listen: Listen, open_inbox: Callable[..., Inbox]
    ) -> None:
        inbox, listener = listen(open_inbox(instance_limit=100_000))
        large = data_set(number=2, side=400)
        assert self.neighbours_survive(listener, inbox, large)[0] == status.OUT_OF_RESOURCES

    def test_an_announced_4_gb_pdu_aborts(self, listen: Listen) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.send(pack(">BxI", 4, 0xFFFFFFFF))
            assert caller.read() == (7, bytes([0, 0, 2, INVALID_PARAMETER]))
            assert caller.read()[0] == 0

    def test_an_announced_4_gb_fragment_aborts(self, listen: Listen) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.send(pack(">BxIIBB", 4, 6, 0xFFFFFFFF, 1, 3))
            assert caller.read() == (7, bytes([0, 0, 2, INVALID_PARAMETER]))

    @pytest.mark.parametrize(
        ("garbage", "reason"),
        [
            (b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n", UNRECOGNISED_PDU),
            (pack(">BxI", 1, 200) + b"\xff" * 200, INVALID_PARAMETER),
            (pack(">BxI4x", 5, 4), UNEXPECTED_PDU),
            (pack(">BxI", 1, 0xFFFFFFF0), INVALID_PARAMETER),
        ],
    )
    def test_garbage_on_the_port_harms_nobody(self, listen: Listen, garbage: bytes, reason: int) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.send(garbage)
            assert caller.read() == (7, bytes([0, 0, 2, reason]))
        echo(Peer("IMAGINGHUB", "127.0.0.1", listener.port))

    def test_a_context_not_agreed_aborts(self, listen: Listen) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.send(p_data(99, 3, command(ECHO_RQ, sop_class=Verification, data_set=False)))
            assert caller.read()[0] == 7

    def test_an_operation_we_do_not_provide_is_answered(self, listen: Listen) -> None:
        _, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.send(p_data(1, 3, command(0x0020, sop_class=CTImageStorage)))
            caller.send(p_data(1, 2, b"a query"))
            assert caller.answer()[0] == status.UNRECOGNISED_OPERATION
            caller.release()

    @pytest.mark.parametrize("abort", [True, False])
    def test_an_end_in_mid_transfer_leaves_nothing_behind(self, listen: Listen, abort: bool) -> None:
        inbox, listener = listen()
        with RawCaller(listener.port) as caller:
            caller.associate()
            caller.store("1.2.3.1.1.1", data_set())
            caller.send(p_data(1, 3, command(STORE_RQ, sop_class=CTImageStorage, sop_instance="1.2")))
            caller.send(p_data(1, 0, b"half"))
            if abort:
                caller.send(pack(">BxIxxBB", 7, 4, 0, 0))
        expected = Ending.ABORTED if abort else Ending.LOST
        await_condition(lambda: endings(inbox) == [expected], "the association closed")
        assert totals(inbox)["stored"] == 1
        listener.stop()
        inbox.close()
        assert [p for p in (inbox.root / "owners").rglob("*.part")] == []

    def test_silence_ends_an_association(self, listen: Listen) -> None:
        inbox, listener = listen(idle_seconds=0.3)
        with RawCaller(listener.port) as caller:
            caller.associate()
            assert caller.read()[0] == 0
        await_condition(lambda: endings(inbox) == [Ending.LOST], "the association closed")


class TestStop:
    def test_a_message_under_way_is_finished_and_the_rest_aborted(self, listen: Listen) -> None:
        inbox, listener = listen()
        content = data_set()
        with RawCaller(listener.port) as busy, RawCaller(listener.port) as idle:
            busy.associate()
            idle.associate()
            busy.send(p_data(1, 3, command(STORE_RQ, sop_class=CTImageStorage, sop_instance="1.2.3.1.1.1")))
            busy.send(p_data(1, 0, content[:300]))
            await_condition(lambda: list((inbox.root / "owners").rglob("*.part")), "the data set begun")
            stopping = threading.Thread(target=listener.stop)
            stopping.start()
            assert idle.read()[0] == 7
            busy.send(p_data(1, 2, content[300:]))
            assert busy.answer() == (status.SUCCESS, "")
            assert busy.read()[0] == 7
            stopping.join()
        assert totals(inbox)["stored"] == 1
        assert set(endings(inbox)) == {Ending.ABORTED}

    def test_a_port_in_use_is_named(self, inbox: Inbox, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(NotListening, match=str(port)):
                Listener(inbox, Callers(tmp_path / "c.json"), host="127.0.0.1", port=port).start()

    def test_sigterm_ends_the_command(self, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        code = "import sys; from pathlib import Path; from pacs_gateway.listener import listen; "
        code += "listen(Path(sys.argv[1]), Path(sys.argv[2]), host='127.0.0.1', "
        code += f"port={port}, learn=True, reserve_bytes=0)"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "inbox"), str(tmp_path / "c.json")], env=environment
        )

        def answers() -> bool:
            try:
                echo(Peer("IMAGINGHUB", "127.0.0.1", port))
            except PeerUnreachable:
                return False
            return True

        try:
            await_condition(answers, "C-ECHO")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


class TestProcesses:
    def test_what_was_acknowledged_survives_kill_9(self, listen: Listen, tmp_path: Path) -> None:
        inbox, listener = listen(processes=2)
        first = listener.pids()
        paths = write_study(tmp_path, slices=200, side=256)
        acknowledged: list[str] = []

        def load() -> None:
            peer = Peer("IMAGINGHUB", "127.0.0.1", listener.port)
            results = send(paths, peer, associations=4, attempts=8)
            acknowledged.extend(result.sop_instance_uid for result in results if result.stored)

        loading = threading.Thread(target=load)
        loading.start()
        await_condition(lambda: totals(inbox)["stored"] >= 20, "the load under way")
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        loading.join()
        assert len(acknowledged) == 200
        (study,) = await_condition(inbox.ready_studies, "study ready")
        assert {one.sop_instance_uid for one in study.instances} >= set(acknowledged)
        assert study.conflicts == 0
        assert all(read_header(one.path).sop_instance_uid == one.sop_instance_uid for one in study.instances)
        assert Ending.KILLED in endings(inbox)
        assert not set(listener.pids()) & set(first)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # pydicom, of the UIDs in normal-ct
class TestRealStudies:
    def test_four_studies_interleaved_twice_double_nothing(self, listen: Listen, real_studies: Path) -> None:
        inbox, listener = listen(processes=2)
        names = ("haemorrhage-ct", "infarct-ct", "normal-ct", "contrast-ct")
        folders = [sorted((real_studies / name).glob("*.dcm")) for name in names]
        longest = max(map(len, folders))
        paths = [folder[n] for n in range(longest) for folder in folders if n < len(folder)]
        before = datetime.now(UTC)
        for _ in range(2):
            results = send(paths, Peer("IMAGINGHUB", "127.0.0.1", listener.port), associations=4)
            assert [result.text for result in results if not result.stored] == []
        assert totals(inbox) == {"stored": 170, "duplicate": 187 + 17, "conflict": 0, "refused": 0}
        await_condition(lambda: None not in endings(inbox), "every association closed")
        # as of a moment when nothing had been quiet: what is ready then covers a head
        assert sorted(study.instances for study in inbox.receiving(before)) == [28, 51]
        studies = {len(study.instances): study for study in inbox.ready_studies(before)}
        assert sorted(studies) == [36, 55]
        assert studies[36].duplicates == 36 + 17 + 17
        assert (studies[55].identity.patient_id, studies[55].identity.patient_name) == ("", "")
