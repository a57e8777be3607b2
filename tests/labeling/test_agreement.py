"""Agreement of readers: the figures of the literature, what must not change them, and what has no figure."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.agreement import (
    Agreement,
    Level,
    Ratings,
    Undefined,
    UnknownCategory,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
)

ALL = (fleiss_kappa, gwet_ac1, krippendorff_alpha)


def pairs(table: list[list[int]]) -> list[tuple[str, str]]:
    return [
        (str(row), str(column))
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]


def cases(rows: list[list[int]]) -> list[list[str]]:
    return [[str(kind) for kind, count in enumerate(row) for _ in range(count)] for row in rows]


def error(agreement: Agreement, steps: float = 1.959964) -> float:
    assert agreement.low is not None
    assert agreement.value is not None
    return (agreement.value - agreement.low) / steps


class TestPublished:
    def test_cohen_and_ac1_of_gwets_three_diagnoses(self) -> None:
        # Gwet 2014, two abstractors and 100 pregnancies, as in the manual of irrCAC (cont3x3abstractors)
        table = pairs([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
        kappa, ac1 = cohen_kappa(table, "012"), gwet_ac1(table, "012")
        assert kappa.value == pytest.approx(0.7964094, abs=1e-7)
        assert error(kappa) == pytest.approx(0.05891072, rel=0.01)
        assert ac1.value == pytest.approx(0.8493305, abs=1e-7)
        # the manual's formula for a table divides by n where that for raw answers has n - 1
        assert error(ac1, 1.984217) == pytest.approx(0.04321747, rel=0.006)
        assert fleiss_kappa(table, "012").value == pytest.approx(0.7962397, abs=1e-7)
        assert krippendorff_alpha(table, "012").value == pytest.approx(0.7972585, abs=1e-7)
        assert kappa.observed == pytest.approx(0.89)

    def test_weighted_kappa_with_its_interval(self) -> None:
        # 100 subjects, 4 grades, as printed for cohen.kappa of the R package psych (quadratic weights)
        table = pairs([[11, 3, 1, 1], [4, 18, 3, 2], [2, 5, 16, 6], [1, 2, 4, 21]])
        plain, weighted = (
            cohen_kappa(table, "0123", level=level) for level in (Level.NOMINAL, Level.QUADRATIC)
        )
        assert (plain.low, plain.value, plain.high) == pytest.approx((0.42, 0.54, 0.67), abs=0.0051)
        assert (weighted.low, weighted.value, weighted.high) == pytest.approx((0.55, 0.69, 0.82), abs=0.01)

    def test_linear_weights_by_hand(self) -> None:
        # observed (2 + 2 + 2 x 0.5) / 6; expected from the margins (3, 2, 1) and (2, 3, 1) of 6 each
        table = pairs([[2, 1, 0], [0, 1, 1], [0, 1, 0]])
        expected = (3 * (2 + 1.5) + 2 * (1 + 3 + 0.5) + 1 * (1.5 + 1)) / 36
        observed = (2 + 0.5 + 1 + 0.5 + 0.5) / 6
        linear = cohen_kappa(table, "012", level=Level.LINEAR)
        assert linear.value == pytest.approx((observed - expected) / (1 - expected))

    def test_many_psychiatrists_of_fleiss(self) -> None:
        # 15 patients x 6 psychiatrists, as in the manual of irrCAC (distrib.6raters)
        rows = [
            [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0],
            [2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6],
            [1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1],
        ]  # fmt: skip
        kappa, ac1 = fleiss_kappa(cases(rows), "01234"), gwet_ac1(cases(rows), "01234")
        assert kappa.value == pytest.approx(0.4139265, abs=1e-7)
        assert (kappa.low, kappa.high) == pytest.approx((0.24, 0.588), abs=5e-4)
        assert ac1.value == pytest.approx(0.4448007, abs=1e-7)
        assert (ac1.low, ac1.high) == pytest.approx((0.264, 0.625), abs=5e-4)
        alpha = krippendorff_alpha(cases(rows), "01234")
        assert alpha.value == pytest.approx(0.4204384, abs=1e-7)
        # the bootstrap's ends, against the analytic ones of the manual
        assert (alpha.low, alpha.high) == pytest.approx((0.244, 0.597), abs=0.06)

    def test_four_readers_who_left_cases_out(self) -> None:
        # Krippendorff 2011, 12 units; kappa and AC1 as in the manual of irrCAC (cac.raw4raters)
        units = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]
        kappa, ac1 = fleiss_kappa(units, "12345"), gwet_ac1(units, "12345")
        assert kappa.value == pytest.approx(0.76117, abs=5e-6)
        assert error(kappa, 2.200985) == pytest.approx(0.15302, abs=5e-5)
        assert ac1.value == pytest.approx(0.77544, abs=5e-6)
        assert error(ac1, 2.200985) == pytest.approx(0.14295, abs=5e-5)
        assert (ac1.low, ac1.high) == pytest.approx((0.461, 1.0), abs=5e-4)
        for level, value in ((Level.NOMINAL, 0.743), (Level.ORDINAL, 0.815), (Level.QUADRATIC, 0.849)):
            # quadratic weights by place are Krippendorff's interval level for 1 to 5
            assert krippendorff_alpha(units, "12345", level=level).value == pytest.approx(value, abs=6e-4)

    def test_the_paradox_of_kappa_at_low_prevalence(self) -> None:
        rare = ["aa"] * 190 + ["ap"] * 10
        kappa, ac1 = fleiss_kappa(rare, "ap"), gwet_ac1(rare, "ap")
        assert kappa.value == pytest.approx(-0.026, abs=5e-4)
        assert ac1.value == pytest.approx(0.947, abs=5e-4)
        assert kappa.observed == pytest.approx(0.95)
        assert kappa.prevalence["p"] == pytest.approx(0.025)


class TestUndefined:
    @pytest.mark.parametrize("coefficient", ALL)
    def test_no_case_read_twice_has_no_figure(self, coefficient: type[Agreement]) -> None:
        none = coefficient(["a", "p"], "ap")
        assert (none.value, none.undefined, none.cases) == (None, Undefined.NO_OVERLAP, 0)
        assert coefficient([], "ap").undefined is Undefined.NO_OVERLAP

    def test_one_category_has_no_kappa_and_says_so(self) -> None:
        same = ["aa"] * 5
        for one in (fleiss_kappa(same, "ap"), krippendorff_alpha(same, "ap"), cohen_kappa(same, "ap")):
            assert (one.value, one.undefined) == (None, Undefined.ONE_CATEGORY)
            assert "undefined (one_category), 5 cases" in str(one)
        assert gwet_ac1(same, "ap").value == 1

    def test_one_case_has_a_figure_and_no_interval(self) -> None:
        one = gwet_ac1(["ap"], "ap")
        assert (one.value, one.low, one.high) == (-1, None, None)

    def test_perfect_agreement_is_not_said_to_be_certain(self) -> None:
        few, many = (fleiss_kappa(["aa", "pp"] * n, "ap") for n in (3, 100))
        assert few.value == many.value == 1
        assert few.low is not None
        assert many.low is not None
        assert few.low < 0.5 < 0.95 < many.low < 1

    def test_disagreement_throughout_is_not_said_to_be_certain_either(self) -> None:
        found = gwet_ac1(["ap"] * 6, "ap")
        assert (found.value, found.low) == (-1, -1)
        assert found.high is not None
        assert found.high > -0.5

    def test_an_answer_outside_the_categories_is_named(self) -> None:
        with pytest.raises(UnknownCategory, match=r"\['x'\] are not among the categories \['a', 'p'\]"):
            fleiss_kappa(["ax"], "ap")

    def test_cohen_takes_two_readers(self) -> None:
        with pytest.raises(ValueError, match="3 answers to one case; Cohen's kappa takes 2"):
            cohen_kappa(["aap"], "ap")


FEW = settings(max_examples=40, deadline=None)
ratings = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), min_size=1, max_size=12)


def value(agreement: Agreement) -> object:
    return None if agreement.value is None else pytest.approx(agreement.value, abs=1e-9)


class TestInvariances:
    @FEW
    @given(ratings, st.randoms(use_true_random=False), st.permutations("abc"))
    def test_names_and_order_do_not_matter(self, given_: Ratings, chance: object, names: list[str]) -> None:
        shuffled = [chance.sample(list(each), len(each)) for each in given_]  # type: ignore[attr-defined]
        chance.shuffle(shuffled)  # type: ignore[attr-defined]
        renamed = [[names["abc".index(word)] for word in each] for each in shuffled]
        for coefficient in ALL:
            before, after = coefficient(given_, "abc"), coefficient(renamed, "abc")
            assert after.value == value(before)
            assert (after.undefined, after.cases, after.answers) == (
                before.undefined, before.cases, before.answers,
            )  # fmt: skip

    @FEW
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=12))
    def test_cohen_is_the_same_either_way_round(self, given_: list[tuple[str, str]]) -> None:
        for level in (Level.NOMINAL, Level.LINEAR, Level.QUADRATIC):
            one = cohen_kappa(given_, "abc", level=level)
            other = cohen_kappa([(second, first) for first, second in given_], "abc", level=level)
            assert other.value == value(one)
            assert other.low == (None if one.low is None else pytest.approx(one.low, abs=1e-6))

    @FEW
    @given(ratings)
    def test_a_figure_lies_within_its_interval_and_below_one(self, given_: Ratings) -> None:
        for coefficient in ALL:
            found = coefficient(given_, "abc")
            assert (found.value is None) == (found.undefined is not None)
            if found.value is not None:
                assert found.value <= 1 + 1e-12
                if coefficient is not krippendorff_alpha and found.low is not None and found.high is not None:
                    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
