"""A manifest that can be used, and each way in which one cannot."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.stroke import StrokeType
from training.manifest import BadManifest, read_manifest


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    for row in rows:
        (folder / str(row.get("case", "none"))).mkdir(exist_ok=True)
    return path


class TestReadManifest:
    def test_unknown_labels_are_left_out_and_a_case_is_its_own_patient(self, tmp_path: Path) -> None:
        row = {"case": "a", "source": "simulated", "labels": {"any_ich": 1, "iph": None}, "sex": "F"}
        (study,) = read_manifest(write(tmp_path, row))
        assert study.labels == {StrokeType.ANY_ICH: 1}
        assert (study.population, study.patient, study.row["sex"]) == ("phantom", "a", "F")

    def test_the_older_word_for_the_source_is_understood(self, tmp_path: Path) -> None:
        rows = [{"case": name, "real": name == "a", "labels": {}} for name in ("a", "b")]
        assert [study.population for study in read_manifest(write(tmp_path, *rows))] == ["real", "phantom"]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"case": "a", "labels": {}}, "source None is not one of simulated, real"),
            ({"case": "a", "labels": {}, "source": "phone"}, "source 'phone'"),
            ({"case": "a", "source": "real"}, "line 1: no labels"),
            ({"case": "a", "source": "real", "labels": {"stroke": 1}}, "label 'stroke'"),
            ({"case": "a", "source": "real", "labels": {"iph": 2}}, "label iph is 2"),
        ],
    )
    def test_nothing_is_guessed(self, tmp_path: Path, row: dict[str, Any], said: str) -> None:
        with pytest.raises(BadManifest, match=said):
            read_manifest(write(tmp_path, row))

    def test_a_case_counts_once(self, tmp_path: Path) -> None:
        row = {"case": "a", "source": "real", "labels": {}}
        with pytest.raises(BadManifest, match="line 2: case 'a' is there already"):
            read_manifest(write(tmp_path, row, row))

    def test_a_folder_that_is_not_there_is_no_refused_study(self, tmp_path: Path) -> None:
        path = write(tmp_path, {"case": "a", "source": "real", "labels": {}})
        (tmp_path / "a").rmdir()
        with pytest.raises(BadManifest, match="does not exist"):
            read_manifest(path)
