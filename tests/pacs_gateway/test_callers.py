import json
import os
from pathlib import Path

import pytest

from pacs_gateway.callers import BadCallers, Callers, Sender

UDON = {"ae": "UDON_CT1", "addresses": ["10.8.0.0/16", "192.168.1.5"], "hcode": "10671"}


def write(path: Path, callers: list[dict[str, object]], **options: object) -> Path:
    path.write_text(json.dumps({"callers": callers, **options}))
    return path


class TestRecognise:
    def test_closed_without_a_file(self, tmp_path: Path) -> None:
        assert Callers(tmp_path / "callers.json").recognise("UDON_CT1", "HUB", "10.8.0.1") is None

    @pytest.mark.parametrize("address", ["10.8.255.1", "192.168.1.5", "::ffff:10.8.0.1"])
    def test_by_title_and_address(self, tmp_path: Path, address: str) -> None:
        callers = Callers(write(tmp_path / "callers.json", [UDON]))
        assert callers.recognise("UDON_CT1", "HUB", address) == Sender("UDON_CT1", "HUB", address, "10671")

    @pytest.mark.parametrize(
        ("ae", "address"),
        [("UDON_CT1", "10.9.0.1"), ("udon_ct1", "10.8.0.1"), ("X", "10.8.0.1"), ("UDON_CT1", "")],
    )
    def test_nobody_else(self, tmp_path: Path, ae: str, address: str) -> None:
        assert Callers(write(tmp_path / "callers.json", [UDON])).recognise(ae, "HUB", address) is None

    def test_no_addresses_means_from_anywhere(self, tmp_path: Path) -> None:
        callers = Callers(write(tmp_path / "callers.json", [{"ae": "ANY"}]))
        assert callers.recognise("ANY", "HUB", "172.16.0.1") == Sender("ANY", "HUB", "172.16.0.1", None)

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        path = write(tmp_path / "callers.json", [])
        callers = Callers(path)
        assert callers.recognise("UDON_CT1", "HUB", "10.8.0.1") is None
        write(path, [UDON])
        assert callers.recognise("UDON_CT1", "HUB", "10.8.0.1") is not None
        path.unlink()
        assert callers.recognise("UDON_CT1", "HUB", "10.8.0.1") is None

    def test_a_broken_file_keeps_the_list_in_force(self, tmp_path: Path) -> None:
        path = write(tmp_path / "callers.json", [UDON])
        callers = Callers(path)
        path.write_text("{")
        os.utime(path, ns=(1, 1))
        assert callers.recognise("UDON_CT1", "HUB", "10.8.0.1") is not None

    @pytest.mark.parametrize(
        "content",
        ["{", "[]", '{"callers": {}}', '{"callers": [{}]}', '{"callers": [{"ae": "A", "addresses": ["x"]}]}'],
    )
    def test_a_broken_file_is_refused_at_the_start(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "callers.json"
        path.write_text(content)
        with pytest.raises(BadCallers, match=r"callers\.json"):
            Callers(path)


class TestLearn:
    def test_unknown_callers_come_in_and_are_recorded_once(self, tmp_path: Path) -> None:
        callers = Callers(write(tmp_path / "callers.json", [UDON], learn=True))
        for _ in range(2):
            assert callers.recognise("NEW_CT", "HUB", "10.9.0.1") == Sender("NEW_CT", "HUB", "10.9.0.1", None)
        learned = json.loads((tmp_path / "learned.json").read_text())
        assert learned == {"callers": [{"ae": "NEW_CT", "addresses": ["10.9.0.1"]}]}
        assert callers.recognise("UDON_CT1", "HUB", "10.8.0.1") == Sender(
            "UDON_CT1", "HUB", "10.8.0.1", "10671"
        )


def test_titles_made_up_do_not_fill_the_list_of_learned_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pacs_gateway.callers.LEARNED_LIMIT", 5)
    callers = Callers(tmp_path / "callers.json", learn=True)
    for number in range(20):
        assert callers.recognise(f"MADE_UP{number}", "IMAGINGHUB", "10.8.0.9") is not None
    learned = json.loads((tmp_path / "learned.json").read_text())["callers"]
    assert len(learned) == 5
