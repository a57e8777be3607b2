"""Heads on a template's anatomy: its brain, its inner table, warped for each seed."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from model.network import MASKS, NetworkShape
from model.phantom import Lesion, simulate_head
from model.phantom_grid import Array
from model.phantom_template import Template
from model.stroke import StrokeType
from training.phantoms import template_case
from training.simulate import main
from training.template import MASK, STRIPPED, load_template, make_template

SHAPE = (91, 109, 91)
STEP_MM = 2.0
TO_WORLD = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
TO_WORLD[:3, 3] = (-90, -125, -71)


def write_template(folder: Path) -> Path:
    """A made-up mean brain in the files and axes of the real one: white core, grey rim, two ventricles."""
    x, y, z = (TO_WORLD[a, a] * n + TO_WORLD[a, 3] for a, n in enumerate(np.indices(SHAPE)))
    radius = np.sqrt((x / 67) ** 2 + ((y + 17) / 84) ** 2 + ((z - 10) / np.where(z > 10, 66, 70)) ** 2)
    hu = np.where(radius > 0.7, 34.0, 22.0)
    for side in (-1, 1):
        ventricle = ((x - 14 * side) / 9) ** 2 + ((y + 10) / 28) ** 2 + ((z - 18) / 12) ** 2 < 1
        hu = np.where(ventricle, 4.0, hu)
    right_front = (x > 25) & (y > 10) & (np.abs(z) < 20)
    hu = np.where(right_front & (radius < 0.8), 44.0, hu)
    mask = radius < 1
    nibabel.save(nibabel.Nifti1Image(np.where(mask, hu, 0).astype(np.float32), TO_WORLD), folder / STRIPPED)
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.float32), TO_WORLD), folder / MASK)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def template(folder: Path) -> Template:
    return load_template(folder)


def look(template: Template, values: Array, *place: float) -> float:
    """One value of a field at (left, back, up)."""
    x, y, z = (np.array([each], np.float32) for each in place)
    return float(template.at(values, (x, y, z))[0])


def test_axes_turn_to_left_back_up(template: Template) -> None:
    hu = template.hu
    assert look(template, hu, -35, -20, 0) > 40  # the right front
    assert look(template, hu, 35, -20, 0) < 36
    assert look(template, hu, 0, 17, 65) > look(template, hu, 0, 17, 40) + 5  # cortex is grey


def test_ventricles_and_inner_table_are_found(template: Template) -> None:
    assert look(template, template.ventricles, 14, 10, 18) > 0.8
    assert look(template, template.depth, 60, 17, 10) == pytest.approx(7, abs=1.5)
    assert look(template, template.depth, 78, 17, 10) < -5


def test_a_template_without_contrast_is_refused() -> None:
    mask = np.zeros((40, 40, 40), bool)
    mask[5:-5, 5:-5, 5:-5] = True
    with pytest.raises(ValueError, match=r"0\.0 HU between grey and white"):
        make_template(np.full(mask.shape, 30, np.float32), mask, (-60, -60, -60), 3.0)


def test_head_shows_the_templates_brain_in_a_skull_of_its_own(template: Template) -> None:
    phantom = simulate_head(4, side=96, fov_mm=240, age=40.0, template=template)
    middle = phantom.hu[14]
    assert (middle > 700).sum() > 200
    assert 20 < np.median(middle[(middle > -20) & (middle < 100)]) < 40
    assert ((middle > -5) & (middle < 15)).sum() > 30  # ventricles


def test_seeds_warp_it_otherwise_and_the_same_seed_alike(template: Template) -> None:
    one, again, other = (
        simulate_head(s, side=96, fov_mm=240, age=40.0, template=template) for s in (4, 4, 5)
    )
    assert one.sha256 == again.sha256
    skulls = [phantom.hu[16] > 700 for phantom in (one, other)]
    assert 0.02 < 2 * (skulls[0] & skulls[1]).sum() / (skulls[0].sum() + skulls[1].sum()) < 0.95


@pytest.mark.parametrize(
    ("lesion", "kind", "gain"),
    [
        (Lesion("iph", 1.0, "left", "putamen"), StrokeType.IPH, 15),
        (Lesion("ivh", 1.4), StrokeType.IVH, 15),
        (Lesion("sdh", 1.4, "left", "acute"), StrokeType.SDH, 12),
        (Lesion("infarct", 1.0, "left", "mca"), StrokeType.ACUTE_ISCHAEMIA, -2),
    ],
)
def test_lesions_lie_in_it_as_in_any_head(
    template: Template, lesion: Lesion, kind: StrokeType, gain: float
) -> None:
    without, phantom = (
        simulate_head(8, side=96, fov_mm=240, age=60.0, lesions=wish, template=template)
        for wish in ((), (lesion,))
    )
    mask = phantom.masks[kind]
    assert mask.sum() > 20
    assert (phantom.hu[mask].astype(float) - without.hu[mask]).mean() / gain > 1


def test_another_scan_shows_the_same_head(template: Template) -> None:
    few, many = (simulate_head(6, side=n, fov_mm=240, age=40.0, template=template) for n in (96, 192))
    halved = many.hu.reshape(28, 96, 2, 96, 2).mean(axis=(2, 4))
    assert np.corrcoef(few.hu[10:].ravel(), halved[10:].ravel())[0, 1] > 0.97


def test_case_for_training_says_where_it_comes_from(template: Template) -> None:
    case = template_case(3, NetworkShape(preset="tiny", side=64, grid_mm=3.4), template)
    assert (case.card.source, case.card.patient) == ("template", "template-3")
    assert case.hu.shape[1:] == (64, 64)
    assert set(case.card.known_masks) == set(MASKS)


def test_command_draws_heads_on_the_template(folder: Path, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "a"), "--n", "1", "--side", "64", "--mix", "train"]
    assert main([*arguments, "--template", str(folder)]) == 0
    assert '"anatomy": "template"' in (tmp_path / "a" / "manifest.jsonl").read_text()


def test_missing_template_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "a"), "--n", "1", "--template", str(tmp_path / "none")]) == 1
    assert str(tmp_path / "none" / STRIPPED) in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_real_template_makes_a_plausible_head() -> None:
    root = Path(os.environ.get("HUB_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (root / "templates" / STRIPPED).is_file():
        pytest.skip(f"the CT template is not on this machine: {root / 'templates'} (set HUB_TEST_DATA)")
    template = load_template(root / "templates")
    assert 6 < template.grey - template.white < 16
    phantom = simulate_head(2, side=128, fov_mm=240, age=60.0, template=template)
    brain = phantom.hu[16][(phantom.hu[16] > -10) & (phantom.hu[16] < 80)]
    assert 24 < np.median(brain) < 40
