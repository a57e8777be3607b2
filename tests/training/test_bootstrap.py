"""Draws of patients: the same twice, whole patients, and areas that agree with DeLong's."""

import numpy as np
import pytest

from training.bootstrap import Resamples, ranking, share
from training.intervals import auroc, proportion

PATIENTS = [f"p{index}" for index in range(200)]


class TestResamples:
    def test_same_seed_same_interval(self) -> None:
        labels = np.arange(200) % 3 == 0
        scores = np.random.default_rng(1).normal(labels, 1.0)
        first, again = (Resamples(PATIENTS, seed=4).figure(ranking(scores, labels)) for _ in range(2))
        other = Resamples(PATIENTS, seed=5).figure(ranking(scores, labels))
        assert first == again
        assert first != other

    def test_agrees_with_wilson_where_every_study_is_its_own_patient(self) -> None:
        hit = np.arange(200) < 160
        drawn, exact = Resamples(PATIENTS).figure(share(hit, np.ones(200))), proportion(160, 200)
        assert drawn is not None
        assert exact is not None
        assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=0.015)

    def test_studies_of_one_patient_go_together(self) -> None:
        # every patient has four equal studies: four times the studies, no more to know
        hit = np.arange(50) < 40
        single = Resamples(PATIENTS[:50]).figure(share(hit, np.ones(50)))
        fourfold = Resamples([p for p in PATIENTS[:50] for _ in range(4)])
        repeated = fourfold.figure(share(np.repeat(hit, 4), np.ones(200)))
        assert single is not None
        assert repeated is not None
        assert fourfold.num_patients == 50
        assert repeated.high - repeated.low == pytest.approx(single.high - single.low, abs=0.02)

    def test_draws_without_any_positive_are_left_out(self) -> None:
        figure = Resamples(PATIENTS[:5]).figure(share(np.ones(5), np.array([1, 0, 0, 0, 0])))
        assert figure is not None
        assert (figure.low, figure.high) == (1.0, 1.0)

    def test_what_the_studies_do_not_have_has_no_interval(self) -> None:
        assert Resamples(PATIENTS[:5]).figure(share(np.ones(5), np.zeros(5))) is None


class TestRanking:
    def test_equals_delongs_area_ties_included(self) -> None:
        rng = np.random.default_rng(2)
        labels = rng.random(200) < 0.3
        scores = np.round(rng.normal(labels * 1.0, 1.0), 1)
        whole = auroc(scores[labels], scores[~labels])
        drawn = Resamples(PATIENTS).figure(ranking(scores, labels))
        assert whole is not None
        assert drawn is not None
        assert drawn.value == pytest.approx(whole.value)
        assert (drawn.low, drawn.high) == pytest.approx((whole.low, whole.high), abs=0.02)

    def test_a_study_drawn_twice_counts_twice(self) -> None:
        statistic = ranking([0.1, 0.6, 0.5, 0.9], [0, 0, 1, 1])
        assert statistic(np.ones(4)) == pytest.approx(3 / 4)
        assert statistic(np.array([1.0, 2.0, 1.0, 1.0])) == pytest.approx(4 / 6)
