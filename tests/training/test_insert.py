"""Lesions put into heads that have none: bright or dark in their masks, no trace of the brush elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from model.network import MASKS
from model.phantom import simulate_head
from model.stroke import StrokeType
from model.volume import load_head_ct
from tests import hub
from training.bleeds import BLEEDS, enlarged, turned
from training.cases import Case, CaseCard
from training.decoys import DECOYS, OUTSIDE, Decoy
from training.ground import Ground, survey
from training.implant import main
from training.insert import insert_case, shows, twin_case
from training.paint import paint_case
from training.youth import rejuvenated

GRID_MM = 1.6


def head(seed: int, age: float) -> tuple[Case, Ground]:
    """A simulated head without a lesion, as if it were a real one."""
    phantom = simulate_head(seed, side=144, fov_mm=144 * GRID_MM, slices=29, age=age)
    card = CaseCard(f"clean-{seed}", "clean", f"p{seed}", 5.0, (), dict.fromkeys(map(str, BLEEDS), 0))
    case = Case(card, phantom.hu, np.zeros(phantom.hu.shape, np.uint16))
    ground = survey(case, grid_mm=GRID_MM)
    assert ground is not None
    return case, ground


@pytest.fixture(scope="module")
def old() -> tuple[Case, Ground]:
    return head(12, 74.0)


def mask_of(case: Case, kind: StrokeType) -> np.ndarray:
    return (case.masks >> np.uint16(MASKS.index(kind)) & 1).astype(bool)


class TestYouth:
    def test_sulci_close_ventricles_shrink_and_nothing_else_moves(self, old: tuple[Case, Ground]) -> None:
        ground = old[1]
        young = rejuvenated(ground, np.random.default_rng(4))
        assert young.csf.sum() < 0.6 * ground.csf.sum()
        assert 0 < young.ventricles.sum() < ground.ventricles.sum()
        outside = ~ground.inside
        np.testing.assert_array_equal(young.hu[outside], ground.hu[outside])
        firm = ndimage.binary_erosion(ground.inside & (ground.csf == 0), np.ones((1, 3, 3)), iterations=2)
        assert np.abs(young.hu[firm] - ground.hu[firm]).max() < 1.0
        filled = ground.inside & (ground.csf - young.csf > 0.6)
        assert np.median(young.hu[filled]) > np.median(ground.hu[filled]) + 10

    def test_a_young_head_can_be_painted(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        young = rejuvenated(ground, np.random.default_rng(4))
        painted = insert_case(case, young, seed=3, grid_mm=GRID_MM, kinds=["edh"])
        assert painted is not None
        assert painted.card.labels["edh"] == 1


class TestShapes:
    @given(
        factors=st.tuples(st.just(1), st.integers(1, 9), st.integers(1, 9)),
        seed=st.integers(0, 99),
    )
    @settings(max_examples=25, deadline=None)
    def test_enlarging_says_what_scipy_says(self, factors: tuple[int, int, int], seed: int) -> None:
        noise = np.random.default_rng(seed).standard_normal((4, 5, 6), dtype=np.float32)
        shape = [max(2, n * f - 3) for n, f in zip(noise.shape, factors, strict=True)]
        wanted = ndimage.zoom(noise, factors, order=1)[: shape[0], : shape[1], : shape[2]]
        np.testing.assert_allclose(enlarged(noise, factors, shape), wanted, atol=1e-4)

    def test_angles_turn_the_shorter_way(self) -> None:
        angles = np.array([-3.0, 0.0, 3.0], np.float32)
        np.testing.assert_allclose(turned(angles, 3.0), [2 * np.pi - 6, 3, 0], atol=1e-5)

    def test_a_bleed_as_dark_as_brain_is_none(self, old: tuple[Case, Ground]) -> None:
        mask = old[1].depth_mm > 20
        assert not shows(np.full(mask.shape, 3.0, np.float32), mask)
        assert shows(np.full(mask.shape, 9.0, np.float32), mask)


class TestGround:
    def test_ventricles_lie_in_the_middle(self, old: tuple[Case, Ground]) -> None:
        ground = old[1]
        assert 5 < ground.ventricles.sum() * GRID_MM**2 * 5 / 1000 < 90
        assert np.abs(ground.across_mm[ground.ventricles]).mean() < 25

    @pytest.mark.parametrize(("sigma", "blur"), [(2.0, 0.5), (5.0, 0.9)])
    def test_grain_is_measured(self, sigma: float, blur: float) -> None:
        noise = ndimage.gaussian_filter(
            np.random.default_rng(1).standard_normal((8, 90, 90)), (0, blur, blur)
        )
        phantom = np.full((8, 90, 90), 1000.0)
        phantom[:, 6:-6, 6:-6] = 32 + sigma * (noise / noise.std())[:, 6:-6, 6:-6]
        card = CaseCard("flat", "clean", "p", 5.0, ())
        ground = survey(
            Case(card, phantom.astype(np.int16), np.zeros(phantom.shape, np.uint16)), grid_mm=GRID_MM
        )
        assert ground is not None
        assert ground.noise_hu == pytest.approx(sigma, rel=0.25)
        assert ground.noise_px == pytest.approx(blur, abs=0.2)
        drawn = ground.grain(np.random.default_rng(2))
        assert drawn.std() == pytest.approx(ground.noise_hu, rel=0.1)

    def test_brain_is_found_down_to_the_skull_base_without_face_or_neck(
        self, old: tuple[Case, Ground]
    ) -> None:
        case, ground = old
        assert ground.inside[8:26].any(axis=(1, 2)).all()
        dense = case.hu[ground.inside]
        assert ((dense > 0) & (dense < 75)).mean() > 0.97

    def test_nothing_is_surveyed_without_a_skull(self) -> None:
        card = CaseCard("soft", "clean", "p", 5.0, ())
        soft = Case(card, np.full((4, 64, 64), 30, np.int16), np.zeros((4, 64, 64), np.uint16))
        assert survey(soft, grid_mm=GRID_MM) is None


class TestInsert:
    @pytest.mark.parametrize("kind", list(BLEEDS), ids=str)
    def test_blood_is_bright_in_its_mask_and_nowhere_far(
        self, old: tuple[Case, Ground], kind: StrokeType
    ) -> None:
        case, ground = old
        made = [insert_case(case, ground, seed=seed, grid_mm=GRID_MM, kinds=[kind]) for seed in range(3)]
        seen = [each for each in made if each is not None]
        assert len(seen) >= 2
        for each in seen:
            mask = mask_of(each, kind)
            gain = each.hu.astype(float) - case.hu
            assert gain[mask].mean() > 10
            assert 33 < np.median(each.hu[mask]) < 95
            assert np.array_equal(mask_of(each, StrokeType.ANY_ICH), mask)
            assert each.card.labels[kind] == each.card.labels[StrokeType.ANY_ICH] == 1
            assert not gain[:, ~ground.inside.any(axis=0)].any()

    def test_an_infarct_darkens_tissue_and_spares_fluid_and_bone(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        made = insert_case(case, ground, seed=5, grid_mm=GRID_MM, kinds=["acute_ischaemia"], size=1.5)
        assert made is not None
        mask = mask_of(made, StrokeType.ACUTE_ISCHAEMIA)
        gain = made.hu.astype(float) - case.hu
        assert -14 < gain[mask].mean() < -0.8
        assert np.abs(gain[case.hu > 200]).max(initial=0) == 0
        assert StrokeType.ANY_ICH not in made.card.labels or not made.card.labels[StrokeType.ANY_ICH]

    def test_grain_of_blood_is_that_of_the_head(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        ratios = []
        for seed in range(4):
            made = insert_case(case, ground, seed=seed, grid_mm=GRID_MM, kinds=["iph"], size=3.0)
            assert made is not None
            core = ndimage.binary_erosion(mask_of(made, StrokeType.IPH), np.ones((1, 3, 3)), iterations=2)
            fine = made.hu - ndimage.gaussian_filter(made.hu.astype(np.float32), (0, 1.2, 1.2))
            plain = (
                ground.inside & (ground.depth_mm > 10) & (ground.csf < 0.1) & ~mask_of(made, StrokeType.IPH)
            )
            ratios.append(float(fine[core].std() / fine[plain].std()))
        assert 0.6 < np.median(ratios) < 1.5

    def test_blood_fades_into_brain_over_more_than_a_pixel(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        made = insert_case(case, ground, seed=3, grid_mm=GRID_MM, kinds=["iph"], size=3.0)
        assert made is not None
        mask = mask_of(made, StrokeType.IPH)
        edge = mask & ~ndimage.binary_erosion(mask, np.ones((1, 3, 3)))
        core = ndimage.binary_erosion(mask, np.ones((1, 3, 3)), iterations=2)
        assert core.sum() > 20
        assert np.median(case.hu[mask]) + 8 < np.median(made.hu[edge]) < np.median(made.hu[core]) - 4

    def test_same_seed_same_head(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        one, two = (insert_case(case, ground, seed=8, grid_mm=GRID_MM) for _ in range(2))
        assert one is not None
        assert two is not None
        assert np.array_equal(one.hu, two.hu)
        assert one.card == two.card

    def test_unknown_kind_is_refused(self, old: tuple[Case, Ground]) -> None:
        with pytest.raises(ValueError, match="tumour"):
            insert_case(*old, seed=1, grid_mm=GRID_MM, kinds=["tumour"])


class TestDecoys:
    @pytest.mark.parametrize("draw", OUTSIDE)
    def test_what_lies_outside_the_skull_leaves_the_brain_alone(
        self, old: tuple[Case, Ground], draw: Decoy
    ) -> None:
        ground = old[1]
        changes = [draw(ground, ground.hu, np.random.default_rng(seed)) - ground.hu for seed in range(4)]
        assert max(float(np.abs(change).max()) for change in changes) > 30
        assert not any(change[ground.inside].any() for change in changes)

    @pytest.mark.parametrize("draw", DECOYS)
    def test_every_decoy_brightens_the_inside_of_the_skull_alone(
        self, old: tuple[Case, Ground], draw: Decoy
    ) -> None:
        ground = old[1]
        changes = [draw(ground, ground.hu, np.random.default_rng(seed)) - ground.hu for seed in range(4)]
        assert max(float(change[ground.inside].max()) for change in changes) > 2
        far = ~ndimage.binary_dilation(ground.inside, iterations=4)
        assert max(float(np.abs(change[far]).max()) for change in changes) < 1

    def test_painted_heads_carry_decoys_too(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        with_decoys = []
        for seed in range(8):
            painted = paint_case(case, ground, seed=seed, grid_mm=GRID_MM)
            if painted is not None:
                bleeding = (painted.masks > 0).any(axis=(1, 2))
                far = ~ndimage.binary_dilation(bleeding, iterations=3)
                with_decoys.append(bool((painted.hu != case.hu)[far].any()))
        assert 0 < sum(with_decoys) < len(with_decoys)


class TestTwin:
    def test_a_paste_without_blood_changes_pixels_but_not_density(self, old: tuple[Case, Ground]) -> None:
        case, ground = old
        changed = 0
        for seed in range(6):
            twin = twin_case(case, ground, seed=seed, grid_mm=GRID_MM)
            assert twin.card.labels == case.card.labels
            assert np.array_equal(twin.masks, case.masks)
            touched = twin.hu != case.hu
            changed += int(touched.sum())
            if touched.sum() > 50:
                gain = twin.hu[touched].astype(float) - np.clip(case.hu[touched], -50, 100)
                assert abs(float(np.median(gain))) < 5
        assert changed > 500


class TestImplant:
    def test_a_real_normal_becomes_studies_that_the_hub_reads(self, tmp_path: Path) -> None:
        study = hub.real_ct("normal-ct")[0].parent
        assert main([str(study), str(tmp_path / "out"), "--n", "2", "--side", "256"]) == 0
        rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
        assert rows
        for row in rows:
            assert row["source"] == "inserted"
            assert sum(row["lesion_ml"].values()) > 0
            volume = load_head_ct([tmp_path / "out" / name for name in row["files"]])
            assert volume.hu.shape[1:] == (256, 256)

    def test_a_folder_without_a_head_is_refused_by_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "note.txt").write_text("no image")
        assert main([str(tmp_path), str(tmp_path / "out")]) == 1
        assert "not used" in capsys.readouterr().err
