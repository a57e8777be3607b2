"""Cases, splits and batches: nothing leaks, nothing unknown becomes a zero."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.network import MASKS
from model.stroke import StrokeType
from tests.training.cases import SHAPE, small_case, write_sich
from training.augment import Draw, _thickness, augment
from training.cases import IGNORE_BIT, Case, fingerprints, load_cases, pack_masks, save_case
from training.data import Split, assert_disjoint, fold_split, hold_out, split_cases, split_patients
from training.decoys import decoy_case
from training.labels import num_pixels, slice_labels, study_labels
from training.paint import paint_case, survey
from training.phantoms import draw_lesion
from training.pool import Pool, SliceDraw, StudyDraw, unpack
from training.recipe import Recipe
from training.sich import SichStudy, bleeding_case, clean_case, read_patients, read_study


class TestCases:
    def test_a_case_survives_the_cache(self, tmp_path: Path) -> None:
        case = small_case(1)
        save_case(case, tmp_path)
        (read,) = load_cases([tmp_path])
        assert read.card == replace(case.card, fingerprints=fingerprints(case.hu))
        assert np.array_equal(read.hu, case.hu)
        assert np.array_equal(read.masks, case.masks)

    def test_every_haemorrhage_is_also_any_ich(self) -> None:
        mask = np.zeros((2, 4, 4), bool)
        mask[0, 1, 1] = True
        planes, ignored = unpack(torch.from_numpy(pack_masks({"sdh": mask}, mask.shape).astype(np.float32)))
        assert planes[0, MASKS.index(StrokeType.ANY_ICH)].sum() == 1
        assert planes[0, MASKS.index(StrokeType.SDH)].sum() == 1
        assert planes.sum() == 2
        assert ignored.sum() == 0


class TestSplit:
    def test_cases_of_one_patient_stay_together(self) -> None:
        cases = [small_case(seed) for seed in range(12)]
        twins = [replace(case, card=replace(case.card, name=case.card.name + "b")) for case in cases]
        split = split_patients([*cases, *twins], (0.3, 0.3))
        assert_disjoint(split)
        assert len(split.train) + len(split.calibration) + len(split.test) == 24

    def test_more_cases_move_no_one(self) -> None:
        few = split_patients([small_case(seed) for seed in range(6)], (0.3, 0.3))
        many = split_patients([small_case(seed) for seed in range(12)], (0.3, 0.3))
        assert {c.card.name for c in few.train} <= {c.card.name for c in many.train}

    def test_what_was_frozen_stays_in_its_part(self) -> None:
        cases = [small_case(seed) for seed in range(6)]
        parts = ["train", "calibration", "test", "external", "temporal", ""]
        frozen = [
            replace(
                case, card=replace(case.card, part=part, hospital="10705" if part == "external" else "10671")
            )
            for case, part in zip(cases, parts, strict=True)
        ]
        recipe = Recipe(name="t", cache=Path("c"), out=Path("o"), held_out=(0.0, 0.0), folds=2)
        split = split_cases(frozen, recipe)
        assert {name: [case.card.part for case in part] for name, part in split.parts().items()} == {
            "train": ["", "train"],
            "calibration": ["calibration"],
            "test": ["test"],
            "external": ["external"],
            "temporal": ["temporal"],
        }
        folds = [fold_split(frozen, recipe, fold) for fold in range(2)]
        assert {case.card.part for fold in folds for case in (*fold.train, *fold.test)} == {
            "",
            "train",
            "calibration",
        }
        odd = replace(cases[0], card=replace(cases[0].card, part="left_out"))
        with pytest.raises(ValueError, match="part 'left_out', not of train, calibration"):
            split_cases([odd], recipe)

    def test_a_leak_is_refused_by_name(self) -> None:
        case = small_case(1)
        with pytest.raises(ValueError, match="phantom-1"):
            assert_disjoint(Split([case], [], [case]))

    def test_equal_pixels_under_two_patients_are_refused(self) -> None:
        case = small_case(1)
        marked = replace(case.card, fingerprints=fingerprints(case.hu))
        again = replace(marked, name="retake", patient="somebody else")
        with pytest.raises(ValueError, match="retake shows a slice of patient phantom-1"):
            assert_disjoint(Split([replace(case, card=marked)], [], [replace(case, card=again)]))

    def test_held_out_hospitals_and_months_leave_with_their_patients(self) -> None:
        def at(seed: int, hospital: str, month: str, patient: str = "") -> Case:
            case = small_case(seed)
            patient = patient or case.card.patient
            return replace(case, card=replace(case.card, hospital=hospital, month=month, patient=patient))

        cases = [
            at(0, "10670", "2026-01"),
            at(1, "10670", "2026-02"),
            at(2, "10671", "2026-01", "moved"),
            at(3, "10670", "2026-01", "moved"),
            at(4, "10670", "2026-03", "came again"),
            at(5, "10670", "2026-01", "came again"),
        ]
        rest, external, temporal = hold_out(cases, hospitals=["10671"], months=1)
        assert [case.card.name for case in external] == ["phantom-00002"]
        assert [case.card.name for case in temporal] == ["phantom-00004"]
        assert [case.card.name for case in rest] == ["phantom-00000", "phantom-00001"]
        with pytest.raises(ValueError, match="10699"):
            hold_out(cases, hospitals=["10699"], months=0)

    def test_a_held_out_hospital_in_another_part_is_a_leak(self) -> None:
        one, other = (
            replace(case, card=replace(case.card, hospital="10671")) for case in map(small_case, (1, 2))
        )
        with pytest.raises(ValueError, match="10671"):
            assert_disjoint(Split([one], [], [], external=[other]))

    def test_every_patient_is_tested_in_one_fold(self, tmp_path: Path) -> None:
        cases = [small_case(seed) for seed in range(12)]
        recipe = Recipe(name="t-1", cache=tmp_path, out=tmp_path, folds=3)
        tested = [case.card.name for fold in range(3) for case in fold_split(cases, recipe, fold).test]
        assert sorted(tested) == sorted(case.card.name for case in cases)


class TestDraw:
    def test_a_slice_brings_its_twin_without_the_lesion(self) -> None:
        lesion = next(case for case in map(small_case, range(40)) if (case.masks & 1).sum() > 200)
        twin = Case(
            replace(lesion.card, name="twin", labels=dict.fromkeys(lesion.card.labels, 0)),
            lesion.hu - 1,
            np.zeros_like(lesion.masks),
        )
        pool = Pool([lesion, twin], torch.device("cpu"))
        draw = SliceDraw(pool, {"phantom": 1.0}, positive=1.0, paired=1.0)
        labels = draw.draw(np.random.default_rng(1), 12).labels[:, 0]
        assert (labels[::2] == 1).all()
        assert (labels[1::2] == 0).all()

    def test_studies_keep_their_slices_together_and_lose_no_lesion(self) -> None:
        cases = [small_case(seed) for seed in range(8)]
        draw = StudyDraw(Pool(cases, torch.device("cpu")), {"phantom": 1.0}, paired=0.5)
        for step in range(12):
            batch = draw.draw(np.random.default_rng(step), 3)
            assert sum(batch.lengths) == len(batch.slices.hu) == len(batch.z) == len(batch.groups)
            seen = [
                part.amax(dim=0) for part in torch.split(batch.slices.labels.nan_to_num(0), batch.lengths)
            ]
            for study, label in zip(seen, batch.labels, strict=True):
                assert study[0] >= 0.5 or label[0] < 0.5 or label[0].isnan()

    def test_a_subset_of_a_pool_draws_from_its_cases_alone(self) -> None:
        cases = [small_case(seed) for seed in range(8)]
        pool = Pool(cases, torch.device("cpu"))
        some = pool.subset({cases[2].card.name, cases[5].card.name})
        alone = Pool([cases[2], cases[5]], torch.device("cpu"))
        draws = [SliceDraw(each, {"phantom": 1.0}, positive=0.5, paired=0.0) for each in (some, alone)]
        one, other = (draw.draw(np.random.default_rng(3), 8) for draw in draws)
        assert torch.equal(one.hu, other.hu)

    def test_equal_generators_draw_equal_batches(self) -> None:
        pool = Pool([small_case(seed) for seed in range(8)], torch.device("cpu"))
        draw = SliceDraw(pool, {"phantom": 1.0}, positive=0.6, paired=0.5)
        one, other = (draw.draw(np.random.default_rng(4), 8) for _ in range(2))
        assert torch.equal(one.hu, other.hu)
        assert torch.equal(one.labels.nan_to_num(-1), other.labels.nan_to_num(-1))

    def test_unknown_labels_stay_unknown(self) -> None:
        case = small_case(1)
        unknown = Case(replace(case.card, known_masks=(), labels={}), case.hu, np.zeros_like(case.masks))
        assert np.isnan(slice_labels(unknown, num_pixels(unknown))).all()
        assert np.isnan(study_labels(unknown)).all()


class TestAugment:
    def test_equal_seeds_change_alike_and_masks_follow(self) -> None:
        hu = torch.full((4, 3, 64, 64), 30.0)
        bits = torch.zeros(4, 64, 64)
        hu[:, :, 20:44, 20:44] = 70.0
        bits[:, 20:44, 20:44] = 3.0
        first = augment(hu, bits, torch.Generator().manual_seed(1))
        second = augment(hu, bits, torch.Generator().manual_seed(1))
        assert torch.equal(first[0], second[0])
        assert set(first[1].unique().tolist()) <= {0.0, 3.0}
        bright = first[0][:, 1] > 50
        agree = (bright == (first[1] > 0)).float().mean()
        assert agree > 0.95


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SichStudy:
    folder = tmp_path_factory.mktemp("sich")
    write_sich(folder)
    assert read_patients(folder) == ["0000"]
    return read_study(folder, "0000", side=112, grid_mm=2.0)


class TestSich:
    def test_the_bleed_is_found_in_its_box(self, study: SichStudy) -> None:
        case = bleeding_case(study)
        assert (case.masks & 1).any()
        assert case.card.labels == {StrokeType.ANY_ICH: 1, StrokeType.IPH: 1}
        blood = case.hu[(case.masks & 1).astype(bool)]
        assert 45 < np.median(blood) < 85

    def test_slices_beside_the_bleed_are_left_out(self, study: SichStudy) -> None:
        case = bleeding_case(study)
        beside = max(study.boxes) + 1
        assert beside in case.card.unsure_slices
        assert (case.masks[beside] == 1 << IGNORE_BIT).all()
        assert np.isnan(slice_labels(case, num_pixels(case))[beside]).all()

    def test_other_kinds_are_unknown_where_it_bleeds(self, study: SichStudy) -> None:
        case = bleeding_case(study)
        labels = slice_labels(case, num_pixels(case))
        bleeding = int(np.argmax((case.masks & 1).sum(axis=(1, 2))))
        assert labels[bleeding, MASKS.index(StrokeType.IPH)] == 1
        assert np.isnan(labels[bleeding, MASKS.index(StrokeType.SAH)])

    def test_mirroring_takes_the_bleed_away(self, study: SichStudy) -> None:
        clean = clean_case(study)
        assert clean is not None
        assert clean.card.labels[StrokeType.ANY_ICH] == 0
        assert clean.card.patient == bleeding_case(study).card.patient
        where = study.haematoma
        assert np.median(clean.hu[where]) < np.median(study.hu[where]) - 10

    def test_painted_bleeds_are_bright_and_marked(self, study: SichStudy) -> None:
        clean = clean_case(study)
        assert clean is not None
        ground = survey(clean, grid_mm=2.0)
        assert ground is not None
        painted = [paint_case(clean, ground, seed=seed, grid_mm=2.0) for seed in range(4)]
        seen = [case for case in painted if case is not None]
        assert seen
        for case in seen:
            mask = (case.masks & 1).astype(bool)
            assert case.card.labels[StrokeType.ANY_ICH] == 1
            assert np.median(case.hu[mask]) > np.median(clean.hu[mask])

    def test_decoys_are_bright_but_no_bleed(self, study: SichStudy) -> None:
        clean = clean_case(study)
        assert clean is not None
        ground = survey(clean, grid_mm=2.0)
        assert ground is not None
        decoy = decoy_case(clean, ground, seed=1)
        assert decoy.card.source == "decoy"
        assert decoy.card.labels == clean.card.labels
        assert (decoy.masks == clean.masks).all()
        assert np.array_equal(decoy.hu, decoy_case(clean, ground, seed=1).hu)
        assert not np.array_equal(decoy.hu, decoy_case(clean, ground, seed=2).hu)


def test_thicker_slices_take_from_their_neighbours_and_keep_even_heads() -> None:
    hu = torch.zeros(64, 3, 8, 8)
    hu[:, 0] = 40.0
    draw = Draw(64, torch.arange(64), torch.Generator().manual_seed(1))
    thick = _thickness(hu, draw)
    assert 0 < thick[:, 1].max() < 10
    assert (thick[:, 1] == 0).float().mean() > 0.2
    even = torch.full((64, 3, 8, 8), 30.0)
    assert torch.allclose(_thickness(even, draw), even)


def test_small_bleeds_are_drawn_in_the_posterior_fossa_too() -> None:
    drawn = [draw_lesion("iph", np.random.default_rng(seed)) for seed in range(60)]
    assert {lesion.site for lesion in drawn} == {None, "cerebellum", "pons"}
    assert all(lesion.size is None or lesion.size < 1 for lesion in drawn)


def test_phantom_cases_fit_the_network() -> None:
    case = small_case(2)
    assert case.hu.shape[1:] == (SHAPE.side, SHAPE.side)
    assert case.z().shape == (len(case.hu), 2)
    assert set(case.card.known_masks) == set(MASKS)
