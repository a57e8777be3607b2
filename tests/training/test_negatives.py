"""The hub's own negatives become positives that stay with their patient; held-out ones stay as they are."""

import hashlib
import json
from pathlib import Path

from labeling.manifest import Row, freeze
from labeling.splits import Part
from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import StrokeType
from training.cases import load_cases
from training.data import split_cases
from training.importers.frozen import SOURCES, frozen_studies
from training.negatives import MADE, main
from training.recipe import Recipe

GRID = ["--side", "144", "--grid-mm", "1.6", "--each", "1"]


def frozen(place: Path) -> Path:
    """A negative to be trained on, the same head held out, and one that bleeds."""
    head = simulate_head(12, side=144, fov_mm=144 * 1.6, slices=15, spacing_mm=10.0, age=74.0)
    rows, files = [], {}
    for number, (part, bleeds) in enumerate(((Part.TRAIN, 0), (Part.TEST, 0), (Part.TRAIN, 1)), start=1):
        key = f"case-{number:08d}"
        sent = write_series(
            head, place / "sent" / key, dialect=DIALECTS[0], patient=draw_patient(number, 60.0), side=144
        )
        own = {f"{key}/{path.name}": path for path in sent}
        files |= own
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in own.items()}
        labels = {StrokeType.ANY_ICH: bleeds, StrokeType.ACUTE_ISCHAEMIA: 0}
        rows.append(Row(key, f"patient-{number}", "10671", part, labels, files=hashes))
    about = {"name": "r8", "version": 1}
    freeze(place / "r8-v1", rows, about, files, sheet="# r8\n", picture="<svg/>\n")
    return place / "r8-v1" / "manifest.jsonl"


def test_a_negative_becomes_a_positive_and_a_twin_in_the_part_of_its_patient(tmp_path: Path) -> None:
    manifest, out = frozen(tmp_path), tmp_path / "made"
    assert main([str(manifest), str(out), *GRID]) == 0
    made = {case.card.source: case for case in load_cases([out])}
    assert set(made) == {"inserted", "decoy"}, "marked as made"
    positive, twin = made["inserted"], made["decoy"]
    assert positive.masks.any()
    assert 1 in positive.card.labels.values()
    assert (twin.card.labels["any_ich"], bool(twin.masks.any())) == (0, False)
    for case in made.values():
        assert (case.card.patient, case.card.hospital, case.card.part) == ("patient-1", "10671", "train")
    parts = split_cases(list(made.values()), Recipe(name="x", cache=tmp_path, out=tmp_path)).parts()
    assert {name for name, cases in parts.items() if cases} == {"train"}
    told = json.loads((out / MADE).read_text())
    assert {name: told[name] for name in ("positives", "twins", "held_out", "not_negative", "refused")} == {
        **{"positives": 1, "twins": 1},
        **{"held_out": 1, "not_negative": 1, "refused": 0},
    }
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main([str(manifest), str(out), *GRID]) == 0
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}, "the same seed makes the same"


def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    assert main([str(tmp_path / "none.jsonl"), str(tmp_path / "out")]) == 2
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    assert main([str(empty), str(tmp_path / "out")]) == 1


def test_studies_of_a_simulated_set_are_no_real_ones(tmp_path: Path) -> None:
    rows = [{"study_key": name, "patient_key": name, "labels": {}, "source": name} for name in SOURCES]
    for row in rows:
        (tmp_path / str(row["study_key"])).mkdir()
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [known.source for _, known in frozen_studies(manifest)] == ["real", "phantom"]
