import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AllStoragePresentationContexts

from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.part10 import read_meta
from pacs_gateway.sender import Peer, PeerUnreachable, SendOutcome, SendResult, echo, send
from tests.pacs import SmallPacs, make_slice, small_pacs, write_slice, write_study

PAUSE = "pacs_gateway.sender.PAUSE_SECONDS"


def peer(pacs: SmallPacs) -> Peer:
    return Peer("SMALLPACS", "127.0.0.1", pacs.port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TestEcho:
    def test_an_answer(self) -> None:
        with small_pacs() as pacs:
            echo(peer(pacs))

    def test_no_answer(self) -> None:
        with pytest.raises(PeerUnreachable, match="NOBODY"):
            echo(Peer("NOBODY", "127.0.0.1", free_port()))


class TestSend:
    def test_bytes_arrive_as_stored(self, tmp_path: Path) -> None:
        path = write_slice(tmp_path, PatientName="สมชาย".encode("cp874"))
        with small_pacs() as pacs:
            (result,) = send([path], peer(pacs))
        content = path.read_bytes()
        assert result == SendResult(path, SendOutcome.SENT, 0, "", "1.2.3.1.1.1")
        assert pacs.received == [("1.2.3.1.1.1", content[read_meta(content).data_set_offset :])]

    def test_other_files_are_reported_not_fatal(self, tmp_path: Path) -> None:
        letter, missing = tmp_path / "letter.txt", tmp_path / "missing.dcm"
        letter.write_text("Dear colleague")
        path = write_slice(tmp_path)
        seen: list[SendResult] = []
        with small_pacs() as pacs:
            results = send([letter, path, missing], peer(pacs), progress=seen.append)
        assert [r.outcome for r in results] == [
            SendOutcome.NOT_DICOM,
            SendOutcome.SENT,
            SendOutcome.NOT_DICOM,
        ]
        assert [r.path for r in results] == [letter, path, missing]
        assert len(seen) == 3

    def test_statuses_are_told(self, tmp_path: Path) -> None:
        paths = write_study(tmp_path, slices=3)
        with small_pacs() as pacs:
            pacs.statuses = [0xA700, 0xB000]
            results = send(paths, peer(pacs))
        assert [r.outcome for r in results] == [SendOutcome.REFUSED, SendOutcome.WARNED, SendOutcome.SENT]
        assert results[0].status == 0xA700
        assert "A700" in results[0].text

    def test_a_syntax_not_taken_is_named(self, tmp_path: Path) -> None:
        path = write_slice(tmp_path, syntax=ImplicitVRLittleEndian)
        with small_pacs(syntaxes=[ExplicitVRLittleEndian]) as pacs:
            (result,) = send([path], peer(pacs))
        assert result.outcome == SendOutcome.NOT_ACCEPTED
        assert "Implicit VR Little Endian" in result.text

    def test_explicit_files_are_rewritten_for_old_peers(self, tmp_path: Path) -> None:
        path = write_slice(tmp_path)
        with small_pacs(syntaxes=[ImplicitVRLittleEndian]) as pacs:
            (result,) = send([path], peer(pacs))
        assert result.stored
        assert pacs.received[0][1][:4] == b"\x08\x00\x08\x00"
        assert dcmread(path).PixelData in pacs.received[0][1]

    def test_a_lost_association_is_opened_anew(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PAUSE, 0.01)
        paths = write_study(tmp_path, slices=10)
        with small_pacs() as pacs:
            pacs.abort_after = 4
            results = send(paths, peer(pacs))
        assert all(result.stored for result in results)
        assert Counter(uid for uid, _ in pacs.received) == Counter(f"1.2.3.1.1.{n}" for n in range(1, 11))

    def test_nobody_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PAUSE, 0.01)
        with pytest.raises(PeerUnreachable):
            send([write_slice(tmp_path)], Peer("NOBODY", "127.0.0.1", free_port()))

    def test_nothing_to_send_calls_nobody(self) -> None:
        assert send([], Peer("NOBODY", "127.0.0.1", free_port())) == []

    def test_several_associations_share_the_files(
        self, listen: Callable[..., tuple[Inbox, Listener]], tmp_path: Path
    ) -> None:
        inbox, listener = listen()
        paths = write_study(tmp_path)
        results = send(paths, Peer("IMAGINGHUB", "127.0.0.1", listener.port), associations=3)
        assert [result.path for result in results] == paths
        assert sorted(receipt.stored for receipt in inbox.receipts()) == [10, 10, 10]

    def test_many_kinds_of_objects_go_over_one_association(self, tmp_path: Path) -> None:
        classes = [context.abstract_syntax for context in AllStoragePresentationContexts[:60]]
        paths = [tmp_path / f"{number}.dcm" for number in range(len(classes))]
        for number, (path, sop_class) in enumerate(zip(paths, classes, strict=True)):
            ds = make_slice(number=number, SOPClassUID=sop_class)
            ds.file_meta.MediaStorageSOPClassUID = sop_class
            ds.save_as(path, enforce_file_format=True)
        with small_pacs() as pacs:
            results = send(paths, peer(pacs))
        assert all(result.stored for result in results)
        assert len(pacs.received) == 60
