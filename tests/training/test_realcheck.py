"""Real studies end to end, other slices of them, lesions put in; and the card that tells of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.volume import load_head_ct
from model.weights import SHIPPED, load_artefact
from tests.hub import real_ct
from training.package import main as package_main
from training.realcheck import as_read, implants, main, read_negative, resliced


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated head without a bleed and one of a child, as DICOM."""
    folder = tmp_path_factory.mktemp("dicom")
    for name, seed, age in (("normal-ct", 31, 60.0), ("child-ct", 32, 9.0)):
        head = simulate_head(seed, lesions=(), side=192, slices=28, fov_mm=230.0)
        write_series(head, folder / name, dialect=DIALECTS[0], patient=draw_patient(seed, age), side=192)
    return folder


@pytest.fixture(scope="module")
def report(dicom: Path, tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "real.json"
    arguments = [str(tiny_package), "--dicom", str(dicom), "--n", "2", "--threads", "1"]
    assert main([*arguments, "--json", str(out)]) == 0
    return out


def test_every_study_is_answered_or_refused_with_its_reason(report: Path) -> None:
    found = json.loads(report.read_text())
    answers = {row["study"]: row["answer"] for row in found["studies"]}
    assert answers["child-ct"] == "refused: under_18"
    assert answers["normal-ct"] in ("clear", "review")
    assert [row["study"] for row in found["resliced"]] == [f"normal-ct, {mm} mm" for mm in (1, 3, 5, 8)]
    assert found["implanted"]["num_without"] == 2


def test_thicker_slices_are_means_and_thinner_ones_lie_between(dicom: Path) -> None:
    volume = load_head_ct(sorted((dicom / "normal-ct").iterdir()))
    thick, thin = resliced(volume, 10.0), resliced(volume, 2.5)
    middle = len(thick.hu) // 2
    assert thick.positions_mm[1] - thick.positions_mm[0] == pytest.approx(10.0)
    pair = volume.hu[2 * middle : 2 * middle + 2].mean(axis=0)
    assert np.abs(thick.hu[middle] - pair).max() <= 1
    assert len(thin.hu) >= 2 * len(volume.hu) - 2
    assert thin.spacing_mm[0] == 2.5
    assert abs(float(thin.hu.mean()) - float(volume.hu.mean())) < 15


def test_a_lesion_put_in_stands_beside_the_same_paste_without_blood(dicom: Path) -> None:
    case = read_negative(dicom / "normal-ct")
    rows = list(implants(case, 1))
    assert [(kind, label) for kind, label, _ in rows] == [("iph", 1), ("iph", 0)]
    assert (rows[0][2].masks & 1).any()
    assert not (rows[1][2].masks & 1).any()
    assert as_read(case).spacing_mm[1] == pytest.approx(0.9)


def test_the_card_tells_what_was_measured_and_the_package_is_sealed_again(
    report: Path, tiny_package: Path, tmp_path: Path
) -> None:
    package = Path(shutil.copytree(tiny_package, tmp_path / tiny_package.name))
    before = load_artefact(package).digest
    assert package_main(["card", str(package), "--eval", str(report), "--history", "Trained by hand."]) == 0
    card = (package / "model_card.md").read_text(encoding="utf-8")
    assert "| child-ct | - | refused: under_18 |" in card
    assert "Trained by hand." in card
    assert "ใช้เพื่อการวิจัยเท่านั้น" in card
    assert load_artefact(package).digest != before


def test_the_real_studies_are_answered_as_they_should_be(tmp_path: Path) -> None:
    studies = real_ct("haemorrhage-ct")[0].parent.parent
    out = tmp_path / "real.json"
    assert (
        main([str(SHIPPED), "--dicom", str(studies), "--n", "0", "--threads", "1", "--json", str(out)]) == 0
    )
    found = json.loads(out.read_text())
    answers = {row["study"]: row["answer"] for row in [*found["studies"], *found["resliced"]]}
    assert answers["haemorrhage-ct"] == "flag"
    assert answers["contrast-ct"].startswith("refused: contrast")
    assert not [name for name, answer in answers.items() if answer == "flag" and name != "haemorrhage-ct"]
