"""Figures that real and simulated heads are compared by: each tells apart what it is meant to tell apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from model.phantom import Lesion, simulate_head
from model.stroke import StrokeType
from training.cases import Case, CaseCard, pack_masks
from training.ground import survey
from training.realism import LEVELS, Figures, main, measure, summary


def figures(hu: np.ndarray, masks: dict[str, np.ndarray] | None = None) -> Figures:
    case = Case(CaseCard("x", "phantom", "p", 5.0, ()), hu, pack_masks(masks or {}, hu.shape))
    ground = survey(case, grid_mm=1.5)
    assert ground is not None
    return measure(case, ground)


@pytest.fixture(scope="module")
def young() -> np.ndarray:
    return simulate_head(21, side=152, fov_mm=152 * 1.5, age=25.0).hu


def test_old_heads_hold_more_fluid(young: np.ndarray) -> None:
    old = simulate_head(21, side=152, fov_mm=152 * 1.5, age=88.0).hu
    assert figures(old).csf_percent > figures(young).csf_percent + 2


def test_noise_and_contrast_are_those_put_in(young: np.ndarray) -> None:
    grain = np.random.default_rng(1).normal(0, 6, young.shape).astype(np.int16)
    plain, noisy = figures(young), figures(young + grain)
    assert noisy.noise**2 == pytest.approx(plain.noise**2 + 36, rel=0.3)
    assert noisy.grain_mm < plain.grain_mm + 0.05
    assert 3 < plain.grey_white < 16
    assert plain.low < plain.median < plain.high


def test_a_blurred_skull_has_a_softer_edge_and_the_thickness_is_in_mm(young: np.ndarray) -> None:
    soft = ndimage.gaussian_filter(young.astype(np.float32), (0, 1.2, 1.2)).astype(np.int16)
    assert figures(soft).skull_edge_mm > figures(young).skull_edge_mm + 0.1
    assert 4 < figures(young).skull_mm < 14


def test_a_blurred_bleed_has_a_softer_border() -> None:
    lesion = Lesion("iph", 1.6, "left", "putamen")
    phantom = simulate_head(21, side=152, fov_mm=152 * 1.5, age=50.0, lesions=(lesion,))
    masks = {str(StrokeType.IPH): phantom.masks[StrokeType.IPH]}
    sharp = figures(phantom.hu, masks)
    brain = np.clip(phantom.hu, -50, 150)
    soft = figures(np.where(phantom.hu > 200, phantom.hu, ndimage.gaussian_filter(brain, (0, 2, 2))), masks)
    assert 12 < sharp.blood < 55
    assert soft.border < 0.8 * sharp.border


def test_heads_without_a_bleed_leave_the_mean_alone(young: np.ndarray) -> None:
    without = figures(young)
    assert np.isnan(without.blood)
    words = summary([without, replace(without, blood=30.0), replace(without, blood=20.0)])
    assert words["blood"] == [25.0, 5.0]
    assert words["heads"] == 3


def test_command_writes_table_and_page(tmp_path: Path) -> None:
    assert main([str(tmp_path), "--n", "1"]) == 0
    table = json.loads((tmp_path / "realism.json").read_text())
    assert table["simulated"]["heads"] == 1
    with Image.open(tmp_path / "realism.png") as page:
        assert page.size[0] == len(LEVELS) * page.size[1]
