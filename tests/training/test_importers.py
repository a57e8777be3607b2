"""Every layout of labelled studies becomes cases: labels, slices and masks arrive as they were told."""

import csv
import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from labeling.manifest import Row, freeze
from labeling.splits import Part
from model.network import MASKS, NetworkShape
from model.phantom import Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import StrokeType
from model.volume import load_head_ct
from training.cases import load_cases
from training.importers.__main__ import main
from training.importers.infarct import infarct_cases
from training.importers.studies import BadLabels, KnownOf, import_study
from training.labels import num_pixels, slice_labels, vouched_masks
from training.manifest import read_manifest

SHAPE = NetworkShape(preset="tiny", side=64, grid_mm=3.5, embedding=16)
GRID = ["--side", "64", "--grid-mm", "3.5"]


@cache
def phantom() -> Phantom:
    return simulate_head(7, lesions=["iph"], side=96, slices=24, spacing_mm=6.0)


def write_study(folder: Path, seed: int = 7) -> list[Path]:
    """One simulated bleed as DICOM files, inferior to superior."""
    patient = draw_patient(seed, 60.0)
    files = write_series(phantom(), folder, dialect=DIALECTS[0], patient=patient, side=96)
    return sorted(files, key=lambda path: float(dcmread(path).ImagePositionPatient[2]))


def blood_slices() -> np.ndarray:  # type: ignore[type-arg]
    return np.flatnonzero(phantom().masks[StrokeType.IPH].any(axis=(1, 2)))


class TestStudies:
    def test_a_mask_lands_on_the_blood(self, tmp_path: Path) -> None:
        files = write_study(tmp_path / "s")
        masks = {"iph": phantom().masks[StrokeType.IPH]}
        case = import_study(files, KnownOf("s", "p", {"iph": 1}, masks=masks), SHAPE)
        blood = (case.masks >> MASKS.index(StrokeType.IPH) & 1).astype(bool)
        assert blood.any()
        assert np.median(case.hu[blood]) > 50
        assert np.median(case.hu[~blood & (case.hu > 0) & (case.hu < 100)]) < 45

    def test_a_mask_of_another_shape_is_refused(self, tmp_path: Path) -> None:
        files = write_study(tmp_path / "s")
        known = KnownOf("s", "p", {}, masks={"iph": np.zeros((2, 3, 4), bool)})
        with pytest.raises(BadLabels, match="2, 3, 4"):
            import_study(files, known, SHAPE)

    def test_a_finding_that_the_study_lacks_is_in_none_of_its_slices(self, tmp_path: Path) -> None:
        case = import_study(write_study(tmp_path / "s"), KnownOf("s", "p", {"sdh": 0, "iph": None}), SHAPE)
        labels = slice_labels(case, num_pixels(case))
        assert (labels[:, MASKS.index(StrokeType.SDH)] == 0).all()
        assert np.isnan(labels[:, MASKS.index(StrokeType.IPH)]).all()
        vouched = vouched_masks(case, num_pixels(case))
        assert vouched[:, MASKS.index(StrokeType.SDH)].all()
        assert not vouched[:, MASKS.index(StrokeType.IPH)].any()


class TestFrozen:
    def write(self, folder: Path, **changes: object) -> Path:
        files = write_study(folder / "study-1")
        uids = [str(dcmread(path).SOPInstanceUID) for path in files]
        first, last = blood_slices()[[0, -1]]
        np.savez(folder / "masks.npz", iph=phantom().masks[StrokeType.IPH])
        row = {
            "study_key": "study-1",
            "patient_key": "hmac-1",
            "hospital": "10670",
            "acquired_month": "2026-03",
            "labels": {"any_ich": 1, "iph": 1, "sah": None},
            "slice_ranges": {"any_ich": [[uids[first], uids[last]]]},
            "mask_path": "masks.npz",
            "exclude_reason": None,
        }
        path = folder / "manifest.jsonl"
        path.write_text(json.dumps({**row, **changes}) + "\n", encoding="utf-8")
        return path

    def test_a_frozen_study_becomes_a_case(self, tmp_path: Path) -> None:
        assert main(["frozen", str(self.write(tmp_path)), str(tmp_path / "out"), *GRID]) == 0
        (case,) = load_cases([tmp_path / "out"])
        assert (case.card.patient, case.card.hospital, case.card.month) == ("hmac-1", "10670", "2026-03")
        assert case.card.labels == {"any_ich": 1, "iph": 1}
        labels = slice_labels(case, num_pixels(case))
        assert set(np.flatnonzero(labels[:, 0] == 1)) == set(blood_slices().tolist())
        assert case.card.fingerprints

    def test_a_data_set_as_frozen_becomes_cases_in_their_part(self, tmp_path: Path) -> None:
        files = write_study(tmp_path / "sent")
        paths = {f"study-1/{path.name}": path for path in files}
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}
        row = Row("study-1", "hmac-1", "10670", Part.TEST, {StrokeType.ANY_ICH: 1}, files=hashes)
        about = {"name": "r8", "version": 1}
        freeze(tmp_path / "v1", [row], about, paths, sheet="# r8\n", picture="<svg/>\n")
        assert main(["frozen", str(tmp_path / "v1" / "manifest.jsonl"), str(tmp_path / "out"), *GRID]) == 0
        (case,) = load_cases([tmp_path / "out"])
        assert (case.card.patient, case.card.part) == ("hmac-1", "test")
        (known,) = read_manifest(tmp_path / "v1" / "manifest.jsonl")
        assert (known.name, known.patient, known.labels) == ("study-1", "hmac-1", {StrokeType.ANY_ICH: 1})

    def test_a_changed_file_of_a_frozen_data_set_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = self.write(tmp_path)
        about = {"name": "r8", "version": 1, "schema": "r8-dataset-1.0", "sha256": {path.name: "0" * 64}}
        (tmp_path / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
        assert main(["frozen", str(path), str(tmp_path / "out"), *GRID]) == 2
        assert "not 000000000000... as it was frozen" in capsys.readouterr().err

    def test_an_excluded_study_stays_out(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, exclude_reason="operated")
        assert main(["frozen", str(path), str(tmp_path / "out"), *GRID]) == 0
        assert load_cases([tmp_path / "out"]) == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"study_key": "nowhere"}, "nowhere is not a folder"),
            ({"labels": {"flu": 1}}, "flu"),
            ({"labels": {"iph": 7}}, "7"),
            ({"mask_path": "gone.npz"}, "gone.npz is not a file"),
            ({"slice_ranges": {"iph": [["1.2.3", "1.2.4"]]}}, "1.2.3 is not in the chosen series"),
        ],
    )
    def test_nonsense_ends_with_code_2_and_its_value(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], message: str
    ) -> None:
        path = self.write(tmp_path, **changes)
        assert main(["frozen", str(path), str(tmp_path / "out"), *GRID]) == 2
        assert message in capsys.readouterr().err


class TestTable:
    def test_rows_become_cases_and_refused_studies_are_listed(self, tmp_path: Path) -> None:
        write_study(tmp_path / "data" / "a" / "1")
        (tmp_path / "data" / "b").mkdir()
        (tmp_path / "data" / "b" / "notes.txt").write_text("no image")
        table = tmp_path / "labels.csv"
        table.write_text("study,patient,hospital,any_ich,sah,comment\na/1,p1,h1,1,,x\nb,p2,h1,0,0,y\n")
        out = tmp_path / "out"
        assert main(["table", str(tmp_path / "data"), str(out), "--labels", str(table), *GRID]) == 0
        (case,) = load_cases([out])
        assert case.card.name == "a_1"
        assert case.card.labels == {"any_ich": 1}
        (skipped,) = map(json.loads, (out / "skipped.jsonl").read_text().splitlines())
        assert skipped == {"study": "b", "refusals": ["no_images"]}

    def test_a_label_that_is_no_label_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "data" / "a").mkdir(parents=True)
        table = tmp_path / "labels.csv"
        table.write_text("study,iph\na,maybe\n")
        assert main(["table", str(tmp_path / "data"), str(tmp_path / "o"), "--labels", str(table)]) == 2
        assert "maybe" in capsys.readouterr().err


def test_the_rsna_layout_is_grouped_by_study_and_its_slices_keep_their_labels(tmp_path: Path) -> None:
    images = tmp_path / "rsna" / "stage_2_train"
    images.mkdir(parents=True)
    blood = set(blood_slices().tolist())
    rows = []
    for index, path in enumerate(write_study(tmp_path / "made")):
        path.rename(images / f"ID_{index:03d}.dcm")
        for word in ("any", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural"):
            shows = int(index in blood and word in ("any", "intraparenchymal"))
            rows.append([f"ID_{index:03d}_{word}", shows])
    with (tmp_path / "rsna" / "stage_2_train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["ID", "Label"], *rows])
    assert main(["rsna", str(tmp_path / "rsna"), str(tmp_path / "out"), *GRID]) == 0
    (case,) = load_cases([tmp_path / "out"])
    assert {kind for kind, value in case.card.labels.items() if value} == {"any_ich", "iph"}
    labels = slice_labels(case, num_pixels(case))
    assert set(np.flatnonzero(labels[:, MASKS.index(StrokeType.IPH)] == 1)) == blood


def test_cq500_reads_are_decided_by_two_of_three(tmp_path: Path) -> None:
    words = ("ICH", "IPH", "IVH", "SAH", "SDH", "EDH", "MassEffect")
    write_study(tmp_path / "cq" / "CQ500CT1 CQ500CT1" / "Unknown Study" / "CT Plain")
    votes = {
        f"R{reader}:{word}": int(word == "ICH" or (word == "IPH" and reader < 3))
        for reader in (1, 2, 3)
        for word in words
    }
    votes["R1:SAH"] = 1
    with (tmp_path / "cq" / "reads.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["name", *votes])
        writer.writeheader()
        writer.writerows([{"name": "CQ500-CT-1", **votes}, {"name": "CQ500-CT-2", **votes}])
    assert main(["cq500", str(tmp_path / "cq"), str(tmp_path / "out"), *GRID]) == 0
    (case,) = load_cases([tmp_path / "out"])
    assert {kind for kind, value in case.card.labels.items() if value} == {"any_ich", "iph"}


def test_infarct_slices_are_one_patient_and_hold_no_blood(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    head = np.clip((simulate_head(3, side=192, slices=9, spacing_mm=16.0).hu[4] + 20) / 120 * 255, 0, 255)
    for name in ("a", "b"):
        Image.fromarray(head.astype(np.uint8)).save(tmp_path / "images" / f"{name}.png")
        mask = np.zeros((192, 192), np.uint8)
        mask[90:110, 60:80] = 254
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    cases = list(infarct_cases(tmp_path, side=64, grid_mm=3.5))
    assert len({case.card.patient for case in cases}) == 1
    labels = slice_labels(cases[0], num_pixels(cases[0]))
    assert labels[0, MASKS.index(StrokeType.ACUTE_ISCHAEMIA)] == 1
    assert (labels[0, :6] == 0).all()


def test_every_importer_reads_the_study_as_the_hub_does(tmp_path: Path) -> None:
    files = write_study(tmp_path / "s")
    case = import_study(files, KnownOf("s", "p", {}), SHAPE)
    assert len(case.hu) == len(load_head_ct(files).hu)
