"""The simulated head: repeatable, plausible in HU, and true to its labels."""

from collections.abc import Callable

import numpy as np
import pytest

from model.phantom import KINDS, Fault, Lesion, Phantom, simulate_head
from model.phantom_anatomy import cavity, draw_build, make_head
from model.phantom_brain import draw_brain
from model.phantom_grid import Pose, make_grid
from model.phantom_plan import BLEEDS
from model.phantom_scanner import miscalibrate
from model.stroke import StrokeType

Simulate = Callable[..., Phantom]


@pytest.fixture(scope="session")
def simulate() -> Simulate:
    """Simulate small heads, each only once a session."""
    made: dict[str, Phantom] = {}

    def once(seed: int = 3, **wishes: object) -> Phantom:
        key = f"{seed} {wishes}"
        if key not in made:
            settings = {"side": 96, "slices": 26, **wishes}
            made[key] = simulate_head(seed, **settings)  # type: ignore[arg-type]
        return made[key]

    return once


def brain(phantom: Phantom) -> np.ndarray:
    """Return the HU of brain-like voxels in the upper half of the head."""
    upper = phantom.hu[len(phantom.hu) // 2 : -6]
    side = upper.shape[1]
    middle = upper[:, side // 3 : 2 * side // 3, side // 3 : 2 * side // 3]
    return np.asarray(middle[(middle > -20) & (middle < 100)])


class TestRepeat:
    def test_same_seed_gives_the_same_voxels(self) -> None:
        one, two = (simulate_head(5, lesions=("iph",), side=64, slices=20) for _ in range(2))
        assert one.sha256 == two.sha256

    def test_other_seed_gives_another_head(self, simulate: Simulate) -> None:
        assert simulate(3).sha256 != simulate(4).sha256

    def test_head_stays_the_same_outside_a_small_lesion(self, simulate: Simulate) -> None:
        lesion = Lesion("infarct", size=0.7, side="left", site="lacune")
        changed = simulate(3).hu != simulate(3, lesions=(lesion,)).hu
        assert 0 < changed.mean() < 0.02

    def test_size_of_the_matrix_leaves_the_upper_head_alone(self) -> None:
        small, large = (simulate_head(3, side=n, slices=14, spacing_mm=10) for n in (96, 192))
        halved = large.hu.reshape(14, 96, 2, 96, 2).mean(axis=(2, 4))
        assert np.corrcoef(small.hu[7:].ravel(), halved[7:].ravel())[0, 1] > 0.97


class TestHounsfield:
    def test_voxels_are_int16_in_range(self, simulate: Simulate) -> None:
        hu = simulate(3).hu
        assert hu.dtype == np.int16
        assert hu.min() >= -1024
        assert hu.max() <= 3071

    @pytest.mark.parametrize("seed", [3, 4, 5, 6])
    def test_brain_median_is_that_of_brain(self, simulate: Simulate, seed: int) -> None:
        assert 22 <= np.median(brain(simulate(seed))) <= 42

    def test_air_surrounds_bone_surrounds_brain(self, simulate: Simulate) -> None:
        hu = simulate(3).hu
        assert np.median(hu[:, :4, :4]) < -900
        assert (hu > 700).mean() > 0.01

    def test_right_and_left_follow_the_patient(self, simulate: Simulate) -> None:
        mask = simulate(3, lesions=(Lesion("iph", 1.0, "left", "putamen"),)).masks[StrokeType.IPH]
        assert np.argwhere(mask)[:, 2].mean() > mask.shape[2] / 2

    def test_top_slice_holds_less_head_than_the_middle(self, simulate: Simulate) -> None:
        head = (simulate(3).hu > -300).sum(axis=(1, 2))
        assert head[-1] < 0.5 * head[13]

    def test_thin_slices_and_sharp_kernels_are_noisier(self, simulate: Simulate) -> None:
        usual = brain(simulate(3)).std()
        assert brain(simulate(3, kernel="bone")).std() > 1.5 * usual
        thin = simulate(3, side=64, slices=48, spacing_mm=0.625)
        assert thin.hu.shape == (48, 64, 64)
        assert thin.spacing_mm[0] == 0.625

    def test_tilt_slides_slices_backwards(self, simulate: Simulate) -> None:
        def drift(phantom: Phantom) -> float:
            rows = [np.argwhere(plane > -300)[:, 0].mean() for plane in phantom.hu[10:18]]
            return float(np.polyfit(range(8), rows, 1)[0])

        assert drift(simulate(3, tilt_deg=18.0)) > drift(simulate(3)) + 0.3


class TestLesions:
    @pytest.mark.parametrize(
        ("lesion", "brighter"),
        [
            (Lesion("iph", 1.0), 15),
            (Lesion("ivh", 1.2), 15),
            (Lesion("sah", 1.5, site="basal"), 8),
            (Lesion("sdh", 1.3, site="acute"), 12),
            (Lesion("edh", 1.0), 15),
            (Lesion("iph", 1.0, site="caudate"), 15),
            (Lesion("iph", 1.0, site="occipital"), 15),
            (Lesion("iph", 1.0, site="cerebellum"), 15),
            (Lesion("sdh", 1.3, site="falcine"), 8),
            (Lesion("sdh", 1.3, site="tentorial"), 8),
            (Lesion("sdh", 1.3, site="mixed"), 4),
            (Lesion("infarct", 1.0, site="mca", hours=12), -2),
            (Lesion("infarct", 1.0, site="insula", hours=12), -2),
            (Lesion("infarct", 1.0, site="aca", hours=12), -2),
            (Lesion("infarct", 1.0, site="pca", hours=12), -1.5),
            (Lesion("infarct", 1.0, site="lacune", hours=12), -2),
            (Lesion("infarct", 1.0, site="cerebellar", hours=12), -1.5),
            (Lesion("hyperdense_artery"), 2),
            (Lesion("old_infarct", 1.0, site="mca"), -8),
        ],
        ids=lambda value: f"{value.kind}-{value.site}" if isinstance(value, Lesion) else "",
    )
    def test_lesion_shows_in_its_mask(self, simulate: Simulate, lesion: Lesion, brighter: float) -> None:
        without, phantom = simulate(8), simulate(8, lesions=(lesion,))
        mask = phantom.masks[KINDS[lesion.kind]]
        gain = float((phantom.hu[mask].astype(float) - without.hu[mask]).mean())
        assert mask.sum() >= 3
        assert gain / brighter > 1

    def test_subdural_darkens_with_age(self, simulate: Simulate) -> None:
        levels = []
        for site in ("chronic", "isodense", "acute"):
            phantom = simulate(8, lesions=(Lesion("sdh", 1.5, "left", site),))
            blood = phantom.hu[phantom.masks[StrokeType.SDH]]
            levels.append(float(np.percentile(blood, 30)))  # fresh blood may lie at the bottom of old
        assert levels[0] + 5 < levels[1] < levels[2] - 10

    def test_infarct_darkens_with_the_hours(self, simulate: Simulate) -> None:
        without, drops = simulate(8), []
        for hours in (3.0, 12.0, 48.0):
            phantom = simulate(8, lesions=(Lesion("infarct", 0.9, "left", "mca", hours),))
            mask = phantom.masks[StrokeType.ACUTE_ISCHAEMIA]
            drops.append(float((phantom.hu[mask].astype(float) - without.hu[mask]).mean()))
        assert -4.5 < drops[0] < -1.2
        assert drops[2] < drops[1] - 1 < drops[0] - 2

    def test_thin_subdural_is_a_few_millimetres(self, simulate: Simulate) -> None:
        phantom = simulate(8, side=160, fov_mm=240, lesions=(Lesion("sdh", 0.5, "left", "acute"),))
        mask = phantom.masks[StrokeType.SDH]
        widest = mask.sum(axis=2).max() * phantom.spacing_mm[2]
        assert 1.5 <= widest < 8

    @pytest.mark.parametrize("kind", sorted(KINDS))
    def test_label_agrees_with_mask(self, simulate: Simulate, kind: str) -> None:
        phantom = simulate(8, lesions=(Lesion(kind, 1.2),))
        stroke_type = KINDS[kind]
        assert phantom.labels[stroke_type] == 1
        for other in StrokeType:
            if other is not StrokeType.MASS_EFFECT:
                assert phantom.labels[other] == int(phantom.slice_labels[other].any())
            if phantom.slice_labels[other].any() and other is not StrokeType.MASS_EFFECT:
                assert phantom.masks[other][phantom.slice_labels[other]].any(axis=(1, 2)).all()

    def test_any_bleed_is_the_union_of_bleeds(self, simulate: Simulate) -> None:
        phantom = simulate(9, lesions=("iph", "sdh", "infarct"))
        union = np.logical_or.reduce([phantom.masks[t] for t in BLEEDS if t in phantom.masks])
        assert np.array_equal(phantom.masks[StrokeType.ANY_ICH], union)
        assert phantom.labels[StrokeType.ANY_ICH] == 1

    def test_healthy_head_has_no_label(self, simulate: Simulate) -> None:
        assert set(simulate(3).labels) == set(StrokeType)
        assert sum(simulate(3).labels.values()) == 0

    def test_large_lesion_shifts_the_midline(self, simulate: Simulate) -> None:
        large = simulate(8, lesions=(Lesion("sdh", 2.0, "left", "acute"),))
        small = simulate(8, lesions=(Lesion("sdh", 0.4, "left", "acute"),))
        assert large.labels[StrokeType.MASS_EFFECT] == 1
        assert small.labels[StrokeType.MASS_EFFECT] == 0

    @pytest.mark.parametrize(
        "lesion",
        ["tumour", Lesion("iph", side="up"), Lesion("iph", site="knee"), Lesion("infarct", site="x")],
    )
    def test_unknown_wish_is_refused(self, lesion: str | Lesion) -> None:
        with pytest.raises(ValueError, match="unknown"):
            simulate_head(1, lesions=(lesion,), side=32, slices=8)

    def test_unknown_kernel_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown kernel 'x'; known: soft"):
            simulate_head(1, kernel="x", side=32, slices=8)


class TestRareBuilds:
    def test_some_heads_have_wide_ventricles_a_cavum_or_dense_blood(self) -> None:
        builds = [draw_build(seed, 50.0) for seed in range(300)]
        for share, drawn in (
            (0.05, [build.ventricle > 1.5 for build in builds]),
            (0.08, [build.cavum_mm > 0 for build in builds]),
            (0.12, [build.blood > 0 for build in builds]),
        ):
            assert share / 2 < np.mean(drawn) < 2 * share

    def test_a_cavum_is_fluid_between_the_frontal_horns(self) -> None:
        seed = next(
            s for s in range(99) if draw_build(s, 40.0).cavum_mm > 3 and draw_build(s, 40.0).blood == 0
        )
        without = next(s for s in range(99) if draw_build(s, 40.0).cavum_mm == 0)
        fluid = []
        for each in (seed, without):
            grid = make_grid((1, 41, 21), (5.0, 1.0, 1.0), Pose(), top_mm=14.0, shear=0.0)
            build = draw_build(each, 40.0)
            head = make_head(each, grid, grid, build, 0.0, cavity(each, grid, build))
            draw_brain(head)
            fluid.append(float(head.ventricles[0, 8:18, 9:12].mean()))
        assert fluid[0] > fluid[1] + 0.4

    def test_calibration_shifts_brain_by_a_few_units_and_air_by_none(self) -> None:
        shifts = []
        for seed in range(40):
            hu = np.array([-1000.0, 30.0], np.float32)
            miscalibrate(hu, seed)
            assert hu[0] == pytest.approx(-1000, abs=0.01)
            shifts.append(float(hu[1]) - 30)
        assert 0.8 < np.std(shifts) < 2.5
        assert np.abs(shifts).max() <= 4.2


class TestFaults:
    @pytest.mark.parametrize("fault", [Fault.CONTRAST, Fault.CONTRAST_UNTAGGED])
    def test_contrast_fills_vessels(self, simulate: Simulate, fault: Fault) -> None:
        gain = simulate(3, faults=(fault,)).hu.astype(int) - simulate(3).hu
        assert (gain > 60).sum() > 100

    def test_metal_is_brighter_than_bone_and_throws_streaks(self, simulate: Simulate) -> None:
        phantom = simulate(3, faults=(Fault.METAL,))
        assert phantom.hu[phantom.extras["metal"]].max() > 2500
        planes = phantom.extras["metal"].any(axis=(1, 2))
        assert phantom.hu[planes].astype(float).std() > simulate(3).hu[planes].astype(float).std()

    @pytest.mark.parametrize("fault", [Fault.SKULL_DEFECT, Fault.CRANIOTOMY])
    def test_bone_is_gone_where_the_skull_was_opened(self, simulate: Simulate, fault: Fault) -> None:
        phantom = simulate(3, faults=(fault,))
        hole = phantom.extras["skull_defect"]
        assert hole.sum() > 30
        assert np.median(simulate(3).hu[hole]) > np.median(phantom.hu[hole]) + 150  # not rivets

    def test_motion_doubles_the_outline(self, simulate: Simulate) -> None:
        moved, still = simulate(3, faults=(Fault.MOTION,)).hu, simulate(3).hu
        assert (np.abs(moved.astype(int) - still) > 150).mean() > 0.02

    def test_child_is_twelve(self, simulate: Simulate) -> None:
        assert simulate(3, faults=(Fault.CHILD,)).age == 12.0

    def test_unknown_fault_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not a valid Fault"):
            simulate_head(1, faults=("gremlin",), side=32, slices=8)
