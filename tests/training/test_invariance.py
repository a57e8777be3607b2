"""One head scanned several ways: what changes on disk, what is counted, and order that cannot matter."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from training.evaluate import RecordingDetector
from training.invariance import (
    USUAL,
    Answer,
    Change,
    Outcome,
    as_text,
    changes,
    main,
    probe,
    read_with,
    simulate_scan,
    summarise,
    write_scan,
)


def outcome(usual: float, now: float | None, said: str = "flag", to: str = "320") -> Outcome:
    return Outcome("01-iph", "matrix", to, usual, now, "flag", said)


class TestChanges:
    def test_each_changes_one_thing_of_the_usual_scan(self) -> None:
        fields = ("side", "fov_mm", "spacing_mm", "tilt_deg", "dialect", "shuffled", "simulated_side")
        for change in changes():
            other = [name for name in fields if getattr(change.scan, name) != getattr(USUAL, name)]
            assert len(other) == 1, change


class TestScans:
    def test_files_are_as_the_scan_says(self, tmp_path: Path) -> None:
        scan = replace(USUAL, side=320, fov_mm=300.0, spacing_mm=10.0, shuffled=True)
        paths = write_scan(simulate_scan(1, 1, scan), scan, tmp_path / "scan")
        header = dcmread(paths[0], stop_before_pixels=True)
        assert len(paths) == 14
        assert paths != sorted(paths)
        assert (header.Rows, float(header.PixelSpacing[0])) == (320, pytest.approx(300 / 320, abs=1e-4))

    def test_a_repeat_is_the_same_head_in_other_noise(self) -> None:
        scan = replace(USUAL, spacing_mm=20.0)
        one, other = (simulate_scan(1, 1, replace(scan, simulated_side=side)) for side in (256, 255))
        brain = [phantom.hu[3, 100:150, 100:150].astype(float) for phantom in (one, other)]
        assert abs(brain[0].mean() - brain[1].mean()) < 1.0
        fine = [image - np.roll(image, 1, axis=1) for image in brain]
        assert abs(np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1]) < 0.5

    def test_the_order_of_files_changes_nothing(self, tiny_package: Path, tmp_path: Path) -> None:
        read = read_with(RecordingDetector(tiny_package, threads=1))
        usual = replace(USUAL, spacing_mm=10.0)
        paths = write_scan(simulate_scan(1, 1, usual), usual, tmp_path / "scan")
        assert read(paths) == read(paths[::-1]) == read(paths[1::2] + paths[::2])
        assert read([])[1] == "refused: no_images"


class TestProbe:
    def test_every_change_is_read_once(self, tmp_path: Path) -> None:
        seen: list[int] = []

        def read(paths: Sequence[Path]) -> Answer:
            seen.append(len(paths))
            return (0.9, "flag") if len(seen) < 3 else (None, "refused: not_head")

        tried = [
            Change("slices", "10 mm", replace(USUAL, spacing_mm=10.0)),
            Change("matrix", "320", replace(USUAL, side=320)),
        ]
        found = list(probe(read, 1, 1, tried, tmp_path / "scan"))
        assert seen == [28, 28, 14]
        assert [(each.what, each.moved, each.breaks) for each in found] == [
            ("matrix", 0.0, False),
            ("slices", None, True),
        ]


class TestSummary:
    def test_counts_what_moved_changed_its_answer_or_was_refused(self) -> None:
        found = [outcome(0.5, 0.52), outcome(0.5, 0.3, "review"), outcome(0.9, None, "refused: not_head")]
        (row,) = summarise(found)
        assert row["most"] == pytest.approx(0.2)
        assert row["mean"] == pytest.approx(0.11)
        assert (row["heads"], row["over_bar"], row["other_answer"], row["refused"]) == (3, 1, 2, 1)
        text = as_text([row], found)
        assert "2 of 3 scans break the bar" in text
        assert "0.500 flag -> 0.300 review" in text

    def test_the_bar_itself_is_over_it(self) -> None:
        assert outcome(0.5, 0.55).breaks
        assert not outcome(0.5, 0.549).breaks


class TestCommand:
    def test_a_missing_model_ends_with_code_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([str(tmp_path)]) == 2
        assert "cannot measure" in capsys.readouterr().err

    def test_report_is_written(self, tiny_package: Path, tmp_path: Path) -> None:
        arguments = ["--n", "1", "--only", "file order", "--out", str(tmp_path), "--threads", "1"]
        assert main([str(tiny_package), *arguments]) == 0
        assert '"most": 0.0' in (tmp_path / "invariance.json").read_text()
