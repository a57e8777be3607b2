"""The suspicion lies where the blood is, on the images as they were sent: tilted, thin, turned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.detect import Detector, Heat
from model.phantom import Lesion, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.reading import Reading, pack, reading_of, unpack
from model.stroke import Decision, StrokeType
from model.volume import Volume, load_head_ct
from model.weights import SHIPPED
from tests.hub import real_ct

SIDE = 256
BLEED = (Lesion("iph", 2.0, "right", "putamen"),)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(SHIPPED, threads=1)


@pytest.fixture(scope="module")
def bleeding(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> tuple[Volume, Reading]:
    """A simulated bleed, as it was sent, and what is read of it."""
    folder = tmp_path_factory.mktemp("bleeding")
    phantom = simulate_head(7, lesions=BLEED, side=SIDE, slices=14, spacing_mm=10.0)
    return read(
        detector, write_series(phantom, folder, dialect=DIALECTS[0], patient=draw_patient(7, age=60.0))
    )


def read(detector: Detector, paths: list[Path]) -> tuple[Volume, Reading]:
    volume = load_head_ct(paths)
    return volume, reading_of(volume, detector.read(volume)[1])


def dice(phantom: Phantom, reading: Reading) -> float:
    truth = phantom.masks[StrokeType.IPH]
    drawn = np.zeros(truth.shape, np.bool_)
    for number, mask in reading.masks.items():
        drawn[number] = mask
    return float(2 * (drawn & truth).sum() / (drawn.sum() + truth.sum()))


@pytest.mark.parametrize(
    ("tilt", "slices", "spacing", "dialect"),
    [(0.0, 28, 5.0, 0), (15.0, 14, 10.0, 1), (-12.0, 14, 10.0, 2), (10.0, 45, 3.0, 3)],
    ids=["axial", "tilted", "tilted the other way", "tilted and thin"],
)
def test_suspicion_covers_the_bleed_slice_by_slice(
    detector: Detector, tmp_path: Path, tilt: float, slices: int, spacing: float, dialect: int
) -> None:
    phantom = simulate_head(7, lesions=BLEED, side=SIDE, tilt_deg=tilt, slices=slices, spacing_mm=spacing)
    paths = write_series(phantom, tmp_path, dialect=DIALECTS[dialect], patient=draw_patient(7, age=60.0))
    volume, reading = read(detector, paths)
    assert dice(phantom, reading) > 0.85
    truth = phantom.masks[StrokeType.IPH]
    depth = float(np.prod(volume.spacing_mm)) / 1000
    assert reading.volume_ml == pytest.approx(truth.sum() * depth, rel=0.15)
    for number in np.flatnonzero(truth.sum(axis=(1, 2)) > 400):
        apart = np.argwhere(truth[number]).mean(axis=0) - np.argwhere(reading.masks[int(number)]).mean(axis=0)
        assert np.abs(apart * volume.spacing_mm[1]).max() < 6.0, (number, apart)


def test_mirrored_and_turned_images_carry_the_same_suspicion(
    detector: Detector, bleeding: tuple[Volume, Reading]
) -> None:
    volume, plain = bleeding
    turned = turned_by_a_quarter(volume)
    reading = reading_of(turned, detector.read(turned)[1])
    assert reading.masks.keys() == plain.masks.keys()
    for number, mask in plain.masks.items():
        differing = int((reading.masks[number] != mask.T[::-1]).sum())
        assert differing <= 4, "only pixels whose probability is 0.5 to the last bit"


def turned_by_a_quarter(volume: Volume) -> Volume:
    """The same head stored with rows down the patient and columns to his right."""
    affine = volume.affine.copy()
    last = volume.hu.shape[2] - 1
    affine[:3, 1], affine[:3, 2] = -volume.affine[:3, 2], volume.affine[:3, 1]
    affine[:3, 3] += volume.affine[:3, 2] * last
    origins = tuple(tuple(np.array(each) + volume.affine[:3, 2] * last) for each in volume.origins)
    return replace(volume, hu=volume.hu.transpose(0, 2, 1)[:, ::-1], affine=affine, origins=origins)  # type: ignore[arg-type]


def test_specks_too_small_to_be_outlined_are_not_drawn(detector: Detector, tmp_path: Path) -> None:
    phantom = simulate_head(3, side=SIDE, slices=14, spacing_mm=10.0)
    paths = write_series(phantom, tmp_path, dialect=DIALECTS[0], patient=draw_patient(3, age=50.0))
    volume = load_head_ct(paths)
    heat = detector.heat(volume)
    speck = np.zeros_like(heat.probability)
    speck[10, 40, 40:43] = 0.9
    reading = reading_of(volume, Heat(speck, heat.shown))
    assert (reading.masks, reading.volume_ml) == ({}, 0.0)
    assert len(pack(reading)) < 6000
    speck[10, 41, 40] = 0.9
    assert list(reading_of(volume, Heat(speck, heat.shown)).masks) == [10]


def test_packing_loses_nothing_and_is_small(bleeding: tuple[Volume, Reading]) -> None:
    volume, reading = bleeding
    packed = pack(reading)
    again = unpack(packed)
    assert len(packed) < 12_000
    assert pack(again) == packed
    assert again.masks.keys() == reading.masks.keys()
    for number, mask in reading.masks.items():
        np.testing.assert_array_equal(again.masks[number], mask)
    np.testing.assert_allclose(again.origins, np.array(volume.origins))


def test_real_haemorrhage_is_drawn_on_bright_pixels_of_its_own_slices(detector: Detector) -> None:
    volume = load_head_ct(real_ct("haemorrhage-ct"))
    prediction, heat = detector.read(volume)
    reading = reading_of(volume, heat)
    assert prediction.decision is Decision.FLAG
    inside = np.concatenate([volume.hu[number][mask] for number, mask in reading.masks.items()])
    assert 1.0 < reading.volume_ml < 150.0
    assert 45 < np.median(inside) < 90, "blood, neither brain nor bone"
    numbers = sorted(reading.masks)
    assert numbers[-1] - numbers[0] < 2 * len(numbers), "one bleed, not specks all over the head"
