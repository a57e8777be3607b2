"""DICOM over TLS with real handshakes: dcmtk in and out; certificates mapped, revoked, renewed live."""

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pacs_gateway.arrivals import Ending, Receipt
from pacs_gateway.callers import Callers
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.peers import Peer, PeerUnreachable, echo
from pacs_gateway.sender import send
from pacs_gateway.tls import TlsFiles, TlsNotReady, fingerprint
from service.certificates import init_authority, issue, list_certificates, renew_hub, revoke, trust
from tests.pacs import await_condition, write_study
from tests.pacs_gateway.wire import RawCaller

HOSPITAL = "10671"
dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk is not on this machine")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine's files, as its administrator got them."""

    key: Path
    certificate: Path
    fingerprint: str


def machine(folder: Path, tls: Path, ae_title: str) -> Machine:
    issued = issue(tls, ae_title, HOSPITAL)
    assert issued.key_pem is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{ae_title}.key").write_bytes(issued.key_pem)
    (folder / f"{ae_title}.pem").write_bytes(issued.pem)
    return Machine(folder / f"{ae_title}.key", folder / f"{ae_title}.pem", issued.certificate.fingerprint)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Machine, Machine]:
    """An authority with the hub's certificate, a machine's, and one of another authority."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("tls", "other"):
        init_authority(folder / name, "IMAGINGHUB")
    return (
        folder / "tls",
        machine(folder / "machines", folder / "tls", "UDON_CT1"),
        machine(folder / "stranger", folder / "other", "UDON_CT1"),
    )


@dataclass(frozen=True, slots=True)
class Hub:
    """A listener with a TLS port."""

    inbox: Inbox
    listener: Listener
    tls: Path
    machine: Machine

    def receipts(self, ending: Ending) -> list[Receipt]:
        return [each for each in self.inbox.receipts() if each.ending is ending]

    def refusal(self) -> str:
        (refused,) = await_condition(lambda: self.receipts(Ending.REFUSED), "a refusal is recorded")
        return str(refused.detail)


@pytest.fixture
def hub(
    tmp_path: Path, authority: tuple[Path, Machine, Machine], open_inbox: Callable[..., Inbox]
) -> Iterator[Hub]:
    tls, udon, _ = authority
    own = shutil.copytree(tls, tmp_path / "tls")
    callers = tmp_path / "callers.json"
    line = {"ae": "UDON_CT1", "addresses": [], "certificates": [udon.fingerprint], "hcode": HOSPITAL}
    callers.write_text(json.dumps({"callers": [line]}))
    inbox = open_inbox()
    listener = Listener(
        inbox, Callers(callers), host="127.0.0.1", port=0, tls=TlsFiles(own), tls_port=0, grace_seconds=5
    )
    listener.start()
    yield Hub(inbox, listener, own, udon)
    listener.stop()


def scu(
    tool: str, hub: Hub, shown: Machine | None, *files: Path, calling: str = "UDON_CT1"
) -> subprocess.CompletedProcess[str]:
    """Run a client of dcmtk over TLS, with a certificate or without."""
    identity = ["+tls", str(shown.key), str(shown.certificate)] if shown else ["+tla"]
    command = [tool, *identity, "+cf", str(hub.tls / "ca.pem"), "-aet", calling, "-aec", "IMAGINGHUB"]
    command += ["127.0.0.1", str(hub.listener.tls_port), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={"TCP_NODELAY": "1"})


@contextmanager
def handshake(hub: Hub, **options: Any) -> Iterator[ssl.SSLSocket]:
    """A TLS connection of the machine, at the level of bytes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(hub.tls / "ca.pem")
    context.load_cert_chain(hub.machine.certificate, hub.machine.key)
    for name, value in options.items():
        setattr(context, name, value)
    with (
        socket.create_connection(("127.0.0.1", hub.listener.tls_port), timeout=20) as plain,
        context.wrap_socket(plain) as secured,
    ):
        yield secured


@dcmtk
def test_echoscu_is_answered_over_tls(hub: Hub) -> None:
    done = scu("echoscu", hub, hub.machine)
    assert done.returncode == 0, done.stderr


@dcmtk
def test_storescu_sends_a_study_and_its_certificate_says_of_which_hospital(hub: Hub, tmp_path: Path) -> None:
    paths = write_study(tmp_path / "study", slices=30)
    done = scu("storescu", hub, hub.machine, *paths)
    assert done.returncode == 0, done.stderr
    (arrived,) = await_condition(hub.inbox.ready_studies, "the study is complete")
    assert len(arrived.instances) == 30
    assert [(each.hcode, each.certificate) for each in arrived.senders] == [
        (HOSPITAL, hub.machine.fingerprint)
    ]


@dcmtk
def test_a_client_without_a_certificate_is_refused_and_told_of(hub: Hub) -> None:
    assert scu("echoscu", hub, None).returncode != 0
    assert hub.refusal() == "no TLS: it showed no certificate"


@dcmtk
def test_a_certificate_of_another_authority_is_refused(
    hub: Hub, authority: tuple[Path, Machine, Machine]
) -> None:
    assert scu("echoscu", hub, authority[2]).returncode != 0
    assert "its certificate is not accepted" in hub.refusal()


@dcmtk
def test_a_machines_own_certificate_is_trusted_as_itself(
    hub: Hub, authority: tuple[Path, Machine, Machine]
) -> None:
    trust(hub.tls, authority[2].certificate.read_bytes())
    assert scu("echoscu", hub, authority[2]).returncode != 0  # trusted, but nobody's
    assert "no caller 'UDON_CT1' with the certificate" in hub.refusal()


@dcmtk
def test_a_revoked_certificate_is_refused_from_the_next_connection_on(hub: Hub) -> None:
    assert scu("echoscu", hub, hub.machine).returncode == 0
    revoke(hub.tls, hub.machine.fingerprint)
    assert scu("echoscu", hub, hub.machine).returncode != 0
    assert hub.refusal() == f"no TLS: its certificate {hub.machine.fingerprint} is revoked"


@dcmtk
def test_a_certificate_speaks_only_for_its_own_caller(hub: Hub) -> None:
    done = scu("echoscu", hub, hub.machine, calling="LOEI_CT")
    assert "Calling AE Title Not Recognized" in done.stderr
    assert hub.refusal() == f"no caller 'LOEI_CT' with the certificate {hub.machine.fingerprint} is listed"


@dcmtk
def test_plain_dicom_on_the_tls_port_is_told_apart(hub: Hub) -> None:
    plain = ["echoscu", "-to", "5", "127.0.0.1", str(hub.listener.tls_port)]
    assert subprocess.run(plain, capture_output=True, timeout=60).returncode != 0
    assert "plain DICOM" in hub.refusal()


def test_a_caller_with_a_certificate_alone_is_not_let_in_without_tls(hub: Hub) -> None:
    with RawCaller(hub.listener.port) as caller, pytest.raises(AssertionError, match="PDU type 3"):
        caller.associate(calling_ae="UDON_CT1")
    assert hub.refusal() == "no caller 'UDON_CT1' with the address 127.0.0.1 is listed"


def test_a_client_without_forward_secrecy_is_refused_and_written_once_a_minute(hub: Hub) -> None:
    weak = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    weak.check_hostname, weak.verify_mode = False, ssl.CERT_NONE
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA256")
    for _ in range(5):
        plain = socket.create_connection(("127.0.0.1", hub.listener.tls_port), timeout=20)
        with plain, pytest.raises(ssl.SSLError):
            weak.wrap_socket(plain)
    assert hub.refusal() == "no TLS: it offers no cipher suite of BCP 195"


def test_a_connection_that_says_nothing_leaves_no_trace(hub: Hub) -> None:
    socket.create_connection(("127.0.0.1", hub.listener.tls_port)).close()
    with handshake(hub):
        pass  # the one before has been seen to by now
    assert hub.receipts(Ending.LOST) == []


def test_a_peer_that_closes_without_close_notify_has_released(hub: Hub) -> None:
    with handshake(hub) as secured:
        caller = RawCaller.__new__(RawCaller)
        caller.socket = secured
        caller.associate(calling_ae="UDON_CT1")
        caller.release()
        socket.socket.close(secured)
    await_condition(lambda: hub.receipts(Ending.RELEASED), "the association is over")


def test_a_peer_that_vanishes_in_mid_association_is_lost(hub: Hub) -> None:
    with handshake(hub) as secured:
        caller = RawCaller.__new__(RawCaller)
        caller.socket = secured
        caller.associate(calling_ae="UDON_CT1")
        socket.socket.close(secured)
    await_condition(lambda: hub.receipts(Ending.LOST), "the association is lost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken_with_forward_secrecy(hub: Hub, version: ssl.TLSVersion) -> None:
    with handshake(hub, maximum_version=version, minimum_version=version) as secured:
        suite = secured.cipher()
    assert suite is not None
    assert "GCM" in suite[0] or "CHACHA20" in suite[0]


def test_a_renewed_certificate_is_shown_without_a_restart(hub: Hub) -> None:
    with handshake(hub) as secured:
        before = secured.getpeercert(binary_form=True)
    fresh = renew_hub(hub.tls, "IMAGINGHUB")
    with handshake(hub) as secured:
        after = secured.getpeercert(binary_form=True)
    assert before is not None
    assert after is not None
    assert fingerprint(before) != fingerprint(after) == fresh.fingerprint


def test_broken_files_leave_the_certificate_before_in_force(hub: Hub) -> None:
    with handshake(hub):
        pass
    (hub.tls / "hub.pem").write_text("no certificate")
    with handshake(hub) as secured:
        assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_broken_files_from_the_start_are_named(tmp_path: Path) -> None:
    (tmp_path / "hub.pem").write_text("no certificate")
    (tmp_path / "hub.key").write_text("no key")
    with pytest.raises(TlsNotReady, match=str(tmp_path)):
        TlsFiles(tmp_path).server_context()


def test_the_port_opens_when_the_certificate_is_made(
    tmp_path: Path, authority: tuple[Path, Machine, Machine], listen: Callable[..., tuple[Inbox, Listener]]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listen(tls=TlsFiles(tmp_path / "tls"), tls_port=port)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))
    shutil.copytree(authority[0], tmp_path / "tls")

    def answers() -> bool:
        try:
            echo(Peer("IMAGINGHUB", "127.0.0.1", port, TlsFiles(authority[0])))
        except PeerUnreachable:
            return False
        return True

    await_condition(answers, "the TLS port answers")


class TestGoingOut:
    @dcmtk
    def test_our_sender_speaks_tls_to_storescp(
        self, tmp_path: Path, authority: tuple[Path, Machine, Machine]
    ) -> None:
        tls, udon, _ = authority
        (tmp_path / "kept").mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = ["storescp", "+tls", str(udon.key), str(udon.certificate), "+cf", str(tls / "ca.pem")]
        server = subprocess.Popen(
            [*command, "-od", str(tmp_path / "kept"), str(port)], env={"TCP_NODELAY": "1"}
        )
        try:
            peer = Peer("STORESCP", "127.0.0.1", port, TlsFiles(tls), udon.fingerprint)
            await_condition(lambda: _answers(peer), "storescp answers")
            results = send(write_study(tmp_path / "study", slices=5), peer)
        finally:
            server.terminate()
            server.wait()
        assert all(each.stored for each in results), [each.text for each in results]
        assert len(list((tmp_path / "kept").iterdir())) == 5

    def test_a_peer_with_another_certificate_than_pinned_is_not_called(self, hub: Hub) -> None:
        peer = Peer("IMAGINGHUB", "127.0.0.1", hub.listener.tls_port, TlsFiles(hub.tls), "ab" * 32)
        with pytest.raises(PeerUnreachable, match="expected abab"):
            echo(peer)

    def test_a_peer_that_does_not_know_our_certificate_says_so(
        self, hub: Hub, authority: tuple[Path, Machine, Machine]
    ) -> None:
        stranger = TlsFiles(authority[0].parent / "other")
        shutil.copy(hub.tls / "ca.pem", stranger.folder / "trusted" / "hub.pem")
        with pytest.raises(PeerUnreachable, match="does not trust the authority of our certificate"):
            echo(Peer("IMAGINGHUB", "127.0.0.1", hub.listener.tls_port, stranger))

    def test_a_peer_that_speaks_no_tls_is_told_apart(self, hub: Hub) -> None:
        with pytest.raises(PeerUnreachable, match="no TLS with"):
            echo(Peer("IMAGINGHUB", "127.0.0.1", hub.listener.port, TlsFiles(hub.tls)), timeout_seconds=2)


def _answers(peer: Peer) -> bool:
    try:
        echo(peer)
    except PeerUnreachable:
        return False
    return True


def test_the_register_lists_what_was_issued_and_revoked(hub: Hub) -> None:
    revoke(hub.tls, hub.machine.fingerprint)
    listed = {each.kind: each for each in list_certificates(hub.tls)}
    assert set(listed) == {"authority", "hub", "issued"}
    assert (listed["issued"].name, listed["issued"].hcode, listed["issued"].revoked) == (
        "UDON_CT1", HOSPITAL, True,
    )  # fmt: skip
    assert (hub.tls / "ca.key").stat().st_mode & 0o077 == 0
