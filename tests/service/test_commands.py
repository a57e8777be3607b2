"""The `hub` command line as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell import run_hub
from tests.stand_in import stand_in

ROOT = Path(__file__).parent.parent.parent


class Shell:
    """Runs `hub` with its own data folder."""

    def __init__(self, data: Path) -> None:
        self.environment = {**os.environ, "HUB_DATA": str(data), "HUB_HTTP_PORT": "1", "HUB_DICOM_PORT": "1"}
        self.environment.pop("HUB_TEST_DATABASE_URL", None)

    def __call__(self, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return run_hub(*words, environment=self.environment | settings)

    def start(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run it from the very start of the interpreter, which takes seconds."""
        return subprocess.run(
            [sys.executable, "-m", "service", *words],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("hub"))


def test_caller_is_added_listed_and_removed(hub: Shell) -> None:
    assert hub("caller", "add", "LOEI_CT", "--hospital", "10705", "--address", "10.8.0.0/16").returncode == 0
    assert "LOEI_CT          10705  10.8.0.0/16" in hub("caller", "list").stdout
    listed = json.loads((Path(hub.environment["HUB_DATA"]) / "callers.json").read_text())
    assert listed["callers"] == [
        {"ae": "LOEI_CT", "addresses": ["10.8.0.0/16"], "certificates": [], "hcode": "10705"}
    ]
    assert hub("caller", "remove", "LOEI_CT", "--hospital", "10705").returncode == 0
    assert "LOEI_CT" not in hub("caller", "list").stdout


def test_refusal_is_one_line_and_status_1(hub: Shell) -> None:
    done = hub.start("caller", "add", "LOEI_CT", "--hospital", "99999", "--address", "10.8.0.0/16")
    assert done.returncode == 1
    assert done.stderr.strip() == "hub: no hospital has the code '99999'"


def test_token_opens_an_account_that_is_listed(hub: Shell) -> None:
    assert hub("account", "add", "pacs", "--role", "vendor", "--hospital", "10671").returncode == 0
    assert hub("account", "token", "pacs").stdout.startswith("hub_")
    assert "pacs" in hub("account", "list").stdout


def test_unknown_study_times_out_with_status_1(hub: Shell) -> None:
    done = hub("wait", "1.2.3", "--timeout", "0")
    assert done.returncode == 1
    assert "study 1.2.3 is not known after 0 s" in done.stderr


def test_result_of_unknown_study_is_refused(hub: Shell) -> None:
    done = hub("result", "1.2.3")
    assert (done.returncode, done.stderr.strip()) == (1, "hub: no study '1.2.3'")


def test_address_of_peer_is_checked(hub: Shell, tmp_path: Path) -> None:
    done = hub("send", str(tmp_path), "--to", "PACS@nowhere")
    assert done.returncode == 1
    assert "'PACS@nowhere' is not AET@HOST:PORT" in done.stderr


def test_text_file_is_not_imported(hub: Shell, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    done = hub("import", str(tmp_path))
    assert done.returncode == 1
    assert "letter.txt" in done.stderr
    assert "0 of 1 taken" in done.stdout


def test_bad_setting_names_variable_value_and_limit(hub: Shell) -> None:
    done = hub("doctor", HUB_HTTP_PORT="70000")
    assert done.returncode == 1
    assert "HUB_HTTP_PORT" in done.stderr
    assert "70000" in done.stderr
    assert "65535" in done.stderr


def test_doctor_says_what_is_wrong(hub: Shell) -> None:
    done = hub("doctor")
    assert done.returncode == 1
    assert "BAD  workers    none was heard" in done.stdout
    assert "BAD  dicom      nothing answers on 127.0.0.1:1 " in done.stdout
    assert "ok   database   sqlite" in done.stdout


def test_peer_is_added_changed_listed_and_removed(hub: Shell) -> None:
    added = hub("peer", "add", "udon", "PACS@127.0.0.1:1", "--hospital", "10671", "--object", "sr")
    assert (added.returncode, added.stderr) == (0, "")
    assert hub("peer", "change", "udon", "--tls", "--role", "commitment").returncode == 0
    assert "PACS@127.0.0.1:1" in (line := hub("peer", "list").stdout)
    assert line.split()[2:] == ["10671", "tls", "commitment", "sr"]
    listed = json.loads((Path(hub.environment["HUB_DATA"]) / "peers.json").read_text())
    assert [each["ae_title"] for each in listed["peers"]] == ["PACS"]
    echo = hub("peer", "echo", "udon")
    assert echo.returncode == 1
    assert "no TLS with PACS@127.0.0.1:1" in echo.stderr
    assert hub("peer", "remove", "udon").returncode == 0
    assert hub("peer", "list").stdout == ""


def test_machine_gets_its_certificate_and_key(hub: Shell, tmp_path: Path) -> None:
    assert "ca.pem" in hub("tls", "init").stdout
    issued = hub("tls", "issue", "UDON_CT1", "--hospital", "10671", "--out", str(tmp_path / "out"))
    assert issued.returncode == 0, issued.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"UDON_CT1.pem", "UDON_CT1.key", "ca.pem"}
    assert (tmp_path / "out" / "UDON_CT1.key").stat().st_mode & 0o077 == 0
    assert issued.stdout.split()[0] in hub("tls", "list").stdout


def test_deliveries_are_listed_and_sent_again(hub: Shell, tmp_path: Path) -> None:
    assert hub("deliver", "list").stdout == ""
    refused = hub("deliver", "retry")
    assert (refused.returncode, refused.stderr.strip()) == (
        1,
        "hub: give the number of a delivery, or --peer NAME",
    )
    assert hub("deliver", "retry", "7").stderr.strip() == "hub: no delivery has the number 7"
    assert hub("deliver", "retry", "--peer", "udon").stdout.strip() == "0 in line"


def test_the_audit_is_checked_by_hand(hub: Shell) -> None:
    done = hub("audit", "verify")
    assert done.returncode == 0, done.stderr
    assert "entries, head " in done.stdout
    unknown = hub("audit", "study", "1.2.3.404")
    assert unknown.returncode == 1
    assert "1.2.3.404" in unknown.stderr


def test_another_hub_is_listed_by_both_with_one_secret(hub: Shell, tmp_path: Path) -> None:
    made = hub("neighbour", "add", "pair", "https://b.example", "--hospital", "10671", "--hospital", "11014")
    assert (made.returncode, len(made.stdout.strip())) == (0, 43)
    (tmp_path / "secret").write_text(made.stdout)
    other = Shell(tmp_path / "other")
    listed = ("--hospital", "10705", "--secret-file", str(tmp_path / "secret"))
    assert other("neighbour", "add", "pair", "https://a.example", *listed).stdout == "added pair\n"
    assert hub("neighbour", "disable", "pair").returncode == 0
    assert hub("neighbour", "list").stdout == "pair https://b.example (disabled): 10671 11014\n"
    assert hub("neighbour", "enable", "none").returncode == 1
    assert hub("neighbour", "remove", "pair").stdout == "removed pair\n"
    assert hub("neighbour", "list").stdout == ""


def test_a_roster_is_kept_and_a_contact_is_tried(hub: Shell) -> None:
    hub("account", "add", "doctor", "--role", "referrer", "--hospital", "10705")
    hub("roster", "add", "10705", "doctor", "--hours", "8", "--place", "2", "--specialty", "neurology")
    with stand_in() as there:
        made = hub("roster", "contact", "webhook", there.url, "--hospital", "10705", "--quiet", "01:00-02:00")
        assert hub("roster", "test", made.stdout.split()[1]).stdout.strip() == "HTTP 200"
    assert there.posted[0].json["kind"] == "test"
    listed = hub("roster", "list", "10705").stdout
    assert "2 doctor" in listed
    assert "quiet 01:00-02:00" in listed
