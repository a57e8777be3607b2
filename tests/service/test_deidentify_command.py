"""`hub deidentify` as a person types it."""

import subprocess
import sys
from pathlib import Path

from tests.pacs import write_slice

ROOT = Path(__file__).parent.parent.parent


def hub(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "deidentify", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_copies_are_counted_and_refusals_told_without_names(tmp_path: Path) -> None:
    for number in (1, 2):
        write_slice(tmp_path / "in", number=number, SliceThickness="5")
    (tmp_path / "in" / "Somchai-HN123456.pdf").write_bytes(b"%PDF-1.7")
    done = hub(
        tmp_path / "in", tmp_path / "out", "--key-file", tmp_path / "key", "--new-key", "--hospital", "10671"
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "written 2"
    assert "refused 1  unreadable" in done.stdout
    assert "Somchai" not in done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("2.25.*/2.25.*/2.25.*.dcm"))) == 2


def test_key_beside_the_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_slice(tmp_path / "in", SliceThickness="5")
    for key in (tmp_path / "in" / "key", tmp_path / "out" / "key"):
        done = hub(tmp_path / "in", tmp_path / "out", "--key-file", key, "--new-key")
        assert done.returncode == 1
        assert "keep it apart" in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "in" / "key").exists()
