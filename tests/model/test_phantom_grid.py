"""The head is fixed in space: matrix, field of view, slices and tilt only look at it otherwise."""

import numpy as np
import pytest
from scipy import ndimage

from model.phantom import Lesion, Phantom, simulate_head
from model.phantom_grid import Pose, make_grid, stream
from model.stroke import StrokeType

SEED = 5
LESIONS = (Lesion("iph", 1.0, "left", "putamen"), Lesion("sdh", 1.4, "right", "acute"), Lesion("sah", 1.4))
DEPTHS_MM = np.arange(50.0, 101.0, 5.0)
"""Below the topmost slice; every spacing of the test has a slice there."""
PLACE_MM = np.arange(-70.0, 71.0, 1.5)


def scan(
    seed: int = SEED, *, side: int = 160, fov: float = 240.0, mm: float = 5.0, tilt: float = 0
) -> Phantom:
    count = round(105 / mm) + 1
    return simulate_head(
        seed, lesions=LESIONS, side=side, fov_mm=fov, slices=count, spacing_mm=mm, tilt_deg=tilt, age=50.0
    )


def look(phantom: Phantom, volume: np.ndarray) -> np.ndarray:
    """Sample planes at fixed places of the gantry, smoothed so that noise counts little."""
    thick, pixel, _ = phantom.spacing_mm
    count, side, _ = volume.shape
    planes = []
    for depth in DEPTHS_MM:
        number = count - 1 - round(depth / thick)
        slid = np.tan(np.deg2rad(phantom.tilt_deg)) * thick * (number - (count - 1) / 2)
        rows = (PLACE_MM + slid) / pixel + (side - 1) / 2
        columns = PLACE_MM / pixel + (side - 1) / 2
        plane = ndimage.gaussian_filter(np.clip(volume[number].astype(np.float32), -50, 120), 2.0 / pixel)
        planes.append(ndimage.map_coordinates(plane, np.meshgrid(rows, columns, indexing="ij"), order=1))
    return np.stack(planes)


@pytest.fixture(scope="module")
def usual() -> Phantom:
    return scan()


@pytest.mark.parametrize(
    "changed",
    [
        {"side": 256},
        {"side": 107},
        {"fov": 200.0},
        {"fov": 300.0},
        {"mm": 2.5},
        {"mm": 0.625, "side": 96},
        {"tilt": 25.0},
    ],
    ids=str,
)
def test_another_scan_shows_the_same_head(usual: Phantom, changed: dict[str, float]) -> None:
    other = scan(**changed)  # type: ignore[arg-type]
    first, second = look(usual, usual.hu), look(other, other.hu)
    brain = (first > 0) & (first < 90)
    assert np.abs(first - second)[brain].mean() < 4.5
    for kind in (StrokeType.IPH, StrokeType.SDH, StrokeType.SAH):
        one, two = (look(p, 100.0 * p.masks[kind]) > 50 for p in (usual, other))
        assert 2 * (one & two).sum() / (one.sum() + two.sum()) > (0.6 if kind is StrokeType.SAH else 0.9), (
            kind
        )


def test_another_seed_is_told_apart_by_the_same_measure(usual: Phantom) -> None:
    first, second = look(usual, usual.hu), look(scan(6), scan(6).hu)
    assert np.abs(first - second)[(first > 0) & (first < 90)].mean() > 9.0


def test_noise_of_a_box_is_the_noise_of_the_whole_and_empty_boxes_draw_as_much() -> None:
    grid = make_grid((6, 20, 22), (5.0, 1.1, 1.1), Pose(roll=4), top_mm=60.0, shear=0.3)
    box = (slice(1, 4), slice(5, 12), slice(3, 3 + 9))
    whole = grid.noise(stream(1, "x"), 4.0)
    assert np.allclose(whole[box], grid.noise(stream(1, "x"), 4.0, box), atol=1e-5)
    full, empty = stream(2, "x"), stream(2, "x")
    grid.noise(full, 4.0)
    assert grid.noise(empty, 4.0, (slice(0, 0), slice(0, 3), slice(0, 3))).shape == (0, 3, 3)
    assert full.random() == empty.random()


def test_noise_has_unit_variance() -> None:
    grid = make_grid((40, 60, 60), (4.0, 4.0, 4.0), Pose(), top_mm=80.0, shear=0.0)
    assert grid.noise(stream(3, "x"), 8.0).std() == pytest.approx(1.0, abs=0.08)
