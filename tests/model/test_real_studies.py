"""Real head CT: read, refused and resampled as its README says it must be."""

import os
from pathlib import Path

import numpy as np
import pytest

from model.picture import slice_picture
from model.stroke import Refusal
from model.transforms import to_model_input
from model.volume import UnreadableStudy, Volume, load_head_ct

ROOT = Path(os.environ.get("HUB_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")


def study(name: str) -> list[Path]:
    folder = ROOT / "dicom" / name
    if not folder.is_dir():
        pytest.skip(f"real CT is not here: {folder}")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module", params=["haemorrhage-ct", "infarct-ct", "normal-ct"])
def real(request: pytest.FixtureRequest) -> Volume:
    return load_head_ct(study(request.param))


def test_the_bleed_is_read_tilted_and_without_its_duplicates() -> None:
    volume = load_head_ct(study("haemorrhage-ct"))
    assert volume.hu.shape == (36, 512, 512)
    assert volume.spacing_mm == pytest.approx((5.0, 0.564453, 0.564453), abs=0.001)
    assert volume.tilt_deg == pytest.approx(15, abs=0.5)
    assert {note.code for note in volume.notes} == {"duplicate_instances", "age_unknown", "gantry_tilt"}


def test_uneven_spacing_is_noted_not_refused() -> None:
    volume = load_head_ct(study("infarct-ct"))
    assert volume.tilt_deg == pytest.approx(18.5, abs=0.5)
    texts = {note.code: note.text for note in volume.notes}
    assert set(texts) == {"uneven_spacing", "age_unknown", "gantry_tilt"}
    assert all(gap in texts["uneven_spacing"] for gap in ("1.08 mm", "4.00 mm", "7.00 mm"))


def test_sloppy_headers_are_read() -> None:
    volume = load_head_ct(study("normal-ct"))
    assert volume.hu.shape == (55, 512, 512)
    assert volume.spacing_mm[0] == pytest.approx(3.0)
    assert {note.code for note in volume.notes} == {"age_unknown"}


def test_the_contrast_study_is_refused_with_both_reasons() -> None:
    with pytest.raises(UnreadableStudy) as caught:
        load_head_ct(study("contrast-ct"))
    assert caught.value.refusals == (Refusal.CONTRAST, Refusal.MISSING_SLICES)
    assert "sinus" in str(caught.value)


def test_contrast_is_seen_without_the_description(tmp_path: Path) -> None:
    for path in study("contrast-ct"):
        plain = path.read_bytes().replace(b"4cc sec 150cc D3D on", b"HEAD AXIAL THIN 0.62")
        (tmp_path / path.name).write_bytes(plain)
    with pytest.raises(UnreadableStudy) as caught:
        load_head_ct(sorted(tmp_path.iterdir()))
    assert Refusal.CONTRAST in caught.value.refusals


def test_brain_is_plausible_and_central_on_the_grid(real: Volume) -> None:
    given = to_model_input(real, side=256, grid_mm=0.9)
    assert np.isfinite(given.hu).all()
    middle = given.hu[len(given.hu) // 2 : len(given.hu) * 3 // 4, 96:160, 96:160]
    assert 20 < np.median(middle) < 45
    litres = (
        float(((given.hu > -200) * np.gradient(-given.z[:, 0] * 100)[:, None, None]).sum()) * 0.9**2 / -1e6
    )
    assert 1.0 < abs(litres) < 4.5


def test_the_grid_maps_back_onto_the_slices(real: Volume) -> None:
    """Bone found on the grid is bone in the stored image."""
    given = to_model_input(real, side=256, grid_mm=0.9)
    rows, columns = real.hu.shape[1:]
    for index in range(0, len(given.hu), 7):
        dense = np.argwhere(given.hu[index] > 900)[::50]
        x, y = given.to_image[index] @ np.stack([dense[:, 1], dense[:, 0], np.ones(len(dense))])
        found = real.hu[given.source[index], (y * rows).astype(int), (x * columns).astype(int)]
        assert (found > 400).all()


def test_pictures_are_small(real: Volume) -> None:
    assert len(slice_picture(real, len(real.hu) // 2)) < 60_000
