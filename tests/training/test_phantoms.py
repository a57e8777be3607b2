"""What simulated training heads are drawn from."""

import numpy as np

from training.phantoms import draw_age, draw_lesion


def test_young_and_old_heads_come_more_often_than_in_life() -> None:
    rng = np.random.default_rng(0)
    ages = [draw_age(rng) for _ in range(2000)]
    told = [age for age in ages if age is not None]
    assert 0.27 < sum(age < 40 for age in told) / 2000 < 0.33
    assert 0.32 < sum(age >= 60 for age in told) / 2000 < 0.38
    assert not [age for age in told if 40 < age < 60]
    assert (min(told), max(told)) > (16.0, 85.0)


def test_half_of_the_bleeds_that_are_missed_in_life_are_small() -> None:
    rng = np.random.default_rng(0)
    for kind in ("iph", "sdh", "edh", "sah"):
        sizes = [draw_lesion(kind, rng).size for _ in range(400)]
        small = [size for size in sizes if size is not None and size < 0.85]
        assert 150 < len(small) < 250, kind


def test_other_findings_keep_their_usual_size() -> None:
    usual = {draw_lesion("infarct", np.random.default_rng(seed)).size for seed in range(50)}
    assert len(usual) == 1


def test_the_same_seed_draws_the_same_head() -> None:
    drawn = [(draw_age(rng), draw_lesion("iph", rng)) for rng in map(np.random.default_rng, (7, 7))]
    assert drawn[0] == drawn[1]
