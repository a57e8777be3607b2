"""What the network sees does not hang on tilt, matrix, field of view or slice thickness."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.transforms import (
    ModelInput,
    from_eight_bit,
    overlap_matrix,
    resample_slice,
    to_model_input,
    window,
)
from model.volume import Volume, load_head_ct
from tests.model.heads import Scan, head_hu, write_scan

SIDE, GRID_MM = 128, 1.8


def volume_of(scan: Scan) -> Volume:
    """Without going through files."""
    across, down = scan.axes()
    normal = np.cross(across, down)
    normal = normal if normal[2] > 0 else -normal
    first = np.array([scan.position(index) for index in range(scan.slices)])
    affine = np.eye(4)
    affine[:3, 0] = first[1] - first[0]
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = down * scan.pixel_mm, across * scan.pixel_mm, first[0]
    hu = np.stack([np.rint(scan.hu(index)) for index in range(scan.slices)])
    return Volume(
        hu=hu.astype(np.int16),
        spacing_mm=(scan.spacing_mm, scan.pixel_mm, scan.pixel_mm),
        affine=affine,
        sop_instance_uids=tuple(f"1.{index}" for index in range(scan.slices)),
        positions_mm=first @ normal,
        tilt_deg=scan.tilt_deg,
        series_instance_uid="1",
        study_instance_uid="1",
        age_years=None,
        notes=(),
    )


def seen(scan: Scan, side: int = SIDE, grid_mm: float = GRID_MM) -> ModelInput:
    return to_model_input(volume_of(replace(scan, noise=0.0)), side=side, grid_mm=grid_mm)


def rod_hu(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """A head with a rod of metal, straight along z, to the left and back of the middle."""
    return np.where((x - 30) ** 2 + (y - 25) ** 2 < 3.0**2, 2000.0, head_hu(x, y, z))


def middle_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.array([indices.mean() for indices in np.nonzero(mask)])


class TestToModelInput:
    @pytest.mark.parametrize("side", [64, 128, 192])
    def test_gives_a_square_grid_without_gaps_in_it(self, side: int) -> None:
        given = seen(Scan(side=96), side=side)
        assert given.hu.shape == (30, side, side)
        assert (given.hu.dtype, given.z.dtype) == (np.float32, np.float32)
        assert np.isfinite(given.hu).all()
        assert -1024 <= given.hu.min() < given.hu.max() <= 3071
        assert given.source == tuple(range(30))

    @pytest.mark.parametrize("tilt", [-20.0, 15.0])
    def test_a_tilted_gantry_shows_the_same_head(self, tilt: float) -> None:
        """The plane is still the tilted one, so the head is compared with itself cut in that plane."""
        angle = np.radians(tilt)
        plane = (1.0, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle)))

        class Oblique(Scan):
            def position(self, index: int) -> NDArray[np.float64]:
                across, down = self.axes()
                normal = np.cross(across, down)
                start = normal * (self.lowest_mm * np.cos(angle) + index * self.spacing_mm)
                return start - (across + down) * self.pixel_mm * (self.side - 1) / 2

        tilted, straight = seen(Scan(tilt_deg=tilt)), seen(Oblique(orientation=plane))
        # The lowest slice lies at the same height of the normal, so slices pair up one to one.
        inside = (straight.hu > 0) & (straight.hu < 60) & (tilted.hu > 0) & (tilted.hu < 60)
        assert inside.mean() > 0.15
        assert np.abs(tilted.hu - straight.hu)[inside].mean() < 1.0
        bone, other = tilted.hu > 500, straight.hu > 500
        assert (bone & other).sum() / (bone | other).sum() > 0.85

    def test_without_the_shift_they_would_differ(self) -> None:
        volume = volume_of(Scan(tilt_deg=15, noise=0))
        affine = volume.affine.copy()
        affine[:3, 0] = np.cross(affine[:3, 2], affine[:3, 1]) / volume.spacing_mm[1] ** 2 * 5.0
        sheared = to_model_input(replace(volume, affine=affine), side=SIDE, grid_mm=GRID_MM)
        straight = to_model_input(volume, side=SIDE, grid_mm=GRID_MM)
        bone, other = sheared.hu > 500, straight.hu > 500
        assert (bone & other).sum() / (bone | other).sum() < 0.7

    @pytest.mark.parametrize(("side", "fov_mm"), [(64, 240.0), (192, 200.0), (256, 260.0), (320, 240.0)])
    def test_size_in_mm_does_not_hang_on_matrix_or_field_of_view(self, side: int, fov_mm: float) -> None:
        usual, other = seen(Scan(slices=26)), seen(Scan(slices=26, side=side, fov_mm=fov_mm))
        for index in (5, 12, 20):
            areas = [(given.hu[index] > -300).sum() * GRID_MM**2 for given in (usual, other)]
            assert areas[1] == pytest.approx(areas[0], rel=0.03)
        assert np.abs(middle_of(usual.hu > -300) - middle_of(other.hu > -300)).max() < 0.6

    def test_the_head_is_centred_wherever_it_lies(self) -> None:
        for centre in ((0.0, 0.0), (12.0, -9.0)):
            given = seen(Scan(centre_mm=centre))
            assert middle_of(given.hu > -300)[1:] == pytest.approx([63.5, 63.5], abs=1.0)

    @pytest.mark.parametrize(
        "orientation",
        [
            (-1.0, 0, 0, 0, 1.0, 0),
            (1.0, 0, 0, 0, -1.0, 0),
            (-1.0, 0, 0, 0, -1.0, 0),
            (0, 1.0, 0, 1.0, 0, 0),
            (0, -1.0, 0, 1.0, 0, 0),
        ],
    )
    def test_mirrored_and_turned_images_come_out_upright(self, orientation: tuple[float, ...]) -> None:
        usual, other = seen(Scan(tissue=rod_hu)), seen(Scan(tissue=rod_hu, orientation=orientation))
        rod = middle_of(usual.hu[15] > 1500)
        assert rod[0] > 70
        assert rod[1] > 70
        assert middle_of(other.hu[15] > 1500) == pytest.approx(rod, abs=1.0)

    def test_thin_slices_become_slabs_of_5_mm(self) -> None:
        thin = seen(Scan(slices=150, spacing_mm=1.0, side=64))
        assert len(thin.hu) == 30
        assert np.diff(thin.source).tolist() == [5] * 29
        assert thin.z[:, 1] == pytest.approx(0.5)
        thick = seen(Scan(slices=30, side=64))
        inside = (thick.hu[5:20] > 0) & (thick.hu[5:20] < 60)
        assert np.median(np.abs(thick.hu[5:20] - thin.hu[5:20])[inside]) < 2

    def test_slices_of_3_mm_stay(self) -> None:
        assert len(seen(Scan(slices=50, spacing_mm=3.0, side=64)).hu) == 50

    def test_z_counts_down_from_the_top_of_the_head(self) -> None:
        given = seen(Scan(slices=34))
        assert np.diff(given.z[:, 0]) == pytest.approx(-0.05, abs=1e-6)
        top = next(index for index in range(33, 0, -1) if given.z[index, 0] >= 0)
        assert (given.hu[top] > -300).any()
        assert given.hu[top + 1 :].max(initial=-1000) < 0

    def test_a_scan_of_air_still_gives_an_input(self) -> None:
        given = seen(Scan(tissue=lambda x, y, z: np.full(x.shape, -1000.0)))
        assert given.hu.max() < -990

    @pytest.mark.parametrize(
        "scan",
        [
            Scan(tissue=rod_hu, side=256),
            Scan(tissue=rod_hu, side=256, tilt_deg=15),
            Scan(tissue=rod_hu, side=200, centre_mm=(9, -6), orientation=(-1.0, 0, 0, 0, 1.0, 0)),
            Scan(tissue=rod_hu, side=200, orientation=(0, 1.0, 0, 1.0, 0, 0)),
        ],
    )
    def test_a_box_on_the_grid_lies_on_the_same_thing_in_the_image(self, scan: Scan) -> None:
        volume = volume_of(replace(scan, noise=0.0))
        given = to_model_input(volume, side=256, grid_mm=0.9)
        for index in (8, 15, 20):
            rows, columns = np.nonzero(given.hu[index] > 1500)
            box = given.box_in_image(
                index, columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5
            )
            rows, columns = np.nonzero(volume.hu[given.source[index]] > 1500)
            middle = (columns.mean() + 0.5) / scan.side, (rows.mean() + 0.5) / scan.side
            found = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
            assert np.abs(np.subtract(found, middle)).max() * scan.side < 0.5

    def test_files_and_arrays_give_the_same_input(self, tmp_path: Path) -> None:
        scan = Scan(tilt_deg=12)
        read = to_model_input(load_head_ct(write_scan(tmp_path, scan)), side=64, grid_mm=3.6)
        assert np.abs(read.hu - to_model_input(volume_of(scan), side=64, grid_mm=3.6).hu).mean() < 0.5


class TestOverlapMatrix:
    @settings(deadline=None)
    @given(st.floats(0.2, 6), st.floats(-20, 60), st.integers(1, 50))
    def test_each_row_weighs_the_part_that_lies_in_the_image(
        self, width: float, start: float, length: int
    ) -> None:
        centres = start + np.arange(10) * width
        matrix = overlap_matrix(centres, width, length).toarray()
        box = max(width, 1.0)
        inside = np.clip(
            np.minimum(centres + box / 2, length - 0.5) - np.maximum(centres - box / 2, -0.5), 0, None
        )
        assert matrix.min() >= 0
        assert matrix.sum(axis=1) == pytest.approx(inside / box, abs=1e-5)

    def test_a_ramp_stays_a_ramp(self) -> None:
        centres = np.arange(10, 40, 2.5)
        assert overlap_matrix(centres, 2.5, 50) @ np.arange(50.0) == pytest.approx(centres, abs=1e-4)


class TestResampleSlice:
    def test_keeps_mm_and_fills_the_outside(self) -> None:
        image = np.full((100, 100), 30.0)
        given = resample_slice(image, pixel_mm=(0.5, 0.5), centre=(49.5, 49.5), side=80, grid_mm=1.0)
        assert given.shape == (80, 80)
        assert given[40, 40] == pytest.approx(30, abs=1e-3)
        assert (given[0, 0], (given > 0).sum()) == (-1024, 2500)


class TestWindow:
    def test_maps_the_window_to_0_and_1(self) -> None:
        shown = window(np.array([-100, 0, 40, 80, 500], np.int16), 40, 80)
        assert shown.tolist() == [0, 0, 0.5, 1, 1]
        assert shown.dtype == np.float32

    def test_eight_bit_slices_span_their_window(self) -> None:
        assert from_eight_bit(np.array([0, 255], np.uint8)).tolist() == [-20, 100]
        assert from_eight_bit(np.array([0, 255], np.uint8), 0, 80).tolist() == [0, 80]

    @given(st.integers(-20, 100))
    def test_eight_bits_and_back_lose_less_than_a_quarter_hu(self, hu: int) -> None:
        stored = np.array([round((hu + 20) * 255 / 120)], np.uint8)
        assert abs(float(from_eight_bit(stored)[0]) - hu) < 0.25
