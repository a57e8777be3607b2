"""Labels of a data set as DICOM: legal to dciodvfy, on its own images, by a person, and the same again."""

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from labeling.manifest import Row, freeze
from labeling.splits import Part
from model.stroke import StrokeType
from pacs_gateway.label_objects import Said, build_label_report, build_label_segmentation, labelled_study
from pacs_gateway.results import NotReportable
from service.data_set_objects import write_objects
from tests.pacs import write_slice

AT = datetime(2026, 11, 28, 9, tzinfo=UTC)
KEYS = ("case-00000001", "case-00000002")


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """Two studies of four slices; somebody painted a bleed into the first."""
    rows, files = [], {}
    for number, key in enumerate(KEYS, start=1):
        sent = [
            write_slice(tmp_path / key, study=f"1.2.{number}", number=at, pixel=number * 10 + at, side=64)
            for at in range(1, 5)
        ]
        own = {f"{key}/{path.name}": path for path in sent}
        mask = None
        if number == 1:
            painted = np.zeros((4, 64, 64), np.bool_)
            painted[1:3, 20:30, 25:40] = True
            mask = f"masks/{key}.npz"
            own[mask] = tmp_path / "mask.npz"
            np.savez_compressed(own[mask], iph=painted, sdh=np.zeros_like(painted))
        files |= own
        ends = [str(dcmread(path).SOPInstanceUID) for path in sent[1:3]]
        row = Row(
            key,
            f"p{number}",
            "10671",
            Part.TRAIN,
            {StrokeType.ANY_ICH: number % 2, StrokeType.IPH: number % 2, StrokeType.SAH: None},
            soft_labels={StrokeType.IPH: 0.5},
            slice_ranges={StrokeType.IPH: [(ends[0], ends[1])]},
            readers=[
                {"id": "reader-1", "round": 1},  # as sets have it that were frozen before reads were kept
                {
                    "id": "reader-2",
                    "round": 1,
                    "labels": {StrokeType.IPH: 0, StrokeType.SAH: 1},
                    "slice_ranges": {StrokeType.SAH: [(ends[0], ends[1])]},
                    **({"mask_path": mask} if mask else {}),
                },
            ],
            files={name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in own.items()},
            mask_path=mask,
        )
        rows.append(row)
    about = {"name": "r8", "version": 1}
    freeze(tmp_path / "r8-v1", rows, about, files, sheet="# r8\n", picture="<svg/>\n")
    return tmp_path / "r8-v1"


def texts(item: Dataset) -> set[str]:
    found = {str(item[name].value) for name in ("TextValue", "PersonName") if name in item}
    found |= {str(code.CodeMeaning) for code in item.get("ConceptCodeSequence", ())}
    return found.union(*(texts(child) for child in item.get("ContentSequence", ())))


def test_every_study_has_a_report_and_what_was_painted_a_segment(frozen: Path) -> None:
    told: list[tuple[int, int]] = []
    out = write_objects(frozen, at=AT, told=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    made = {str(path.relative_to(out)) for path in out.rglob("*.dcm")}
    assert made == {
        f"{KEYS[0]}/sr.dcm", f"{KEYS[0]}/seg.dcm", f"{KEYS[1]}/sr.dcm",
        f"{KEYS[0]}/reader-2.sr.dcm", f"{KEYS[0]}/reader-2.seg.dcm", f"{KEYS[1]}/reader-2.sr.dcm",
    }  # fmt: skip
    one = dcmread(out / KEYS[0] / "reader-2.sr.dcm")
    assert {"Reader 2^", "Present", "Absent"} <= texts(one)
    every = [str(dcmread(path).SOPInstanceUID) for path in out.rglob("*.dcm")]
    assert len(set(every)) == len(every)
    report, plain = dcmread(out / KEYS[0] / "sr.dcm"), dcmread(out / KEYS[1] / "sr.dcm")
    assert report.StudyInstanceUID == "1.2.1"
    assert {"Consensus of 2 readers^", "Present", "Undetermined"} <= texts(report)
    assert "Absent" in texts(plain)
    segmentation = dcmread(out / KEYS[0] / "seg.dcm")
    assert [each.SegmentLabel for each in segmentation.SegmentSequence] == ["Cerebral hemorrhage"]
    assert segmentation.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    assert segmentation.NumberOfFrames == 2
    assert segmentation.pixel_array.sum() == 2 * 10 * 15
    before = {path: path.read_bytes() for path in out.rglob("*.dcm")}
    shutil.rmtree(out)
    write_objects(frozen, at=AT)
    assert before == {path: path.read_bytes() for path in out.rglob("*.dcm")}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not on this machine")
def test_dciodvfy_finds_no_error(frozen: Path) -> None:
    for path in write_objects(frozen, at=AT).rglob("*.dcm"):
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60)
        lines = (said.stdout + said.stderr).splitlines()
        assert [line for line in lines if line.startswith("Error")] == [], path.name


def test_what_cannot_be_written_says_why(frozen: Path) -> None:
    images = sorted((frozen / KEYS[0]).iterdir())
    study = labelled_study(images, digest="d" * 64, at=AT)
    with pytest.raises(NotReportable, match="nothing is said"):
        build_label_report(study, [], observer="Reader 1")
    with pytest.raises(NotReportable, match="nothing is painted"):
        build_label_segmentation(study, {"iph": np.zeros((4, 64, 64), np.bool_)})
    with pytest.raises(NotReportable, match=r"\(1, 2, 3\)"):
        build_label_segmentation(study, {"iph": np.ones((1, 2, 3), np.bool_)})
    with pytest.raises(NotReportable, match="0 files"):
        labelled_study([], digest="d" * 64, at=AT)
    assert build_label_report(study, [Said("iph", "present")], observer="Reader 1").Modality == "SR"
