"""The region's roster: its flaws are said in words, and even ranges can be made anew."""

from itertools import pairwise
from pathlib import Path

import pytest

from labeling.assignment import Purpose
from labeling.roster import BadRoster, Span, contiguous_ranges, flaws, read_roster, turns_of

HEAD = "reader,hcode,case_from,case_to\n"


def published() -> list[Span]:
    """The roster as published: 37 rows of 27, R14 from 351, R30 in the place of R33, the last with 28."""
    spans = []
    for number in range(1, 38):
        first, last = (number - 1) * 27 + 1, number * 27
        spans.append(
            Span(
                "R30" if number == 33 else f"R{number:02d}",
                "10671",
                351 if number == 14 else first,
                1000 if number == 37 else last,
            )
        )
    return spans


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return path


class TestFlaws:
    def test_the_published_roster_is_found_wanting_in_words(self) -> None:
        said = [flaw.en for flaw in flaws(published())]
        assert said[:3] == [
            "Case 351 is given to more than one reader: R13, R14.",
            "Reader R30 holds 2 ranges, 784-810 and 865-891: 54 cases.",
            "Reader R33 is missing from the roster.",
        ]
        assert "The range 351-378 (R14) has 28 cases; most have 27." in said
        assert "The last range 973-1000 (R37) has 28 cases; most have 27." in said
        assert any("1 of 1000 cases is read more than once" in flaw for flaw in said)
        assert len(said) == 7

    def test_a_gap_is_named(self) -> None:
        said = [flaw.en for flaw in flaws([Span("R01", "1", 1, 3), Span("R02", "1", 6, 8)])]
        assert "Nobody reads 2 cases: 4, 5." in said

    def test_an_even_roster_has_only_the_flaws_of_its_design(self) -> None:
        assert len(flaws(contiguous_ranges([(f"R{n:02d}", "1") for n in range(1, 5)], 100))) == 2
        assert [flaw.en for flaw in flaws([])] == ["The roster is empty."]


class TestReading:
    def test_rows_become_spans(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEAD + "R01,10671,1,27\n")
        assert read_roster(path) == [Span("R01", "10671", 1, 27)]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("reader,case_from,case_to\n", "no column hcode"),
            (HEAD + "R01,10671,one,27\n", "line 2: .*'one'"),
            (HEAD + "R01,10671,28,27\n", "line 2: R01 is given 28-27"),
            (HEAD + "R01,10671,0,27\n", "line 2: R01 is given 0-27"),
            (HEAD + "R01,10671\n", "line 2"),
        ],
    )
    def test_a_bad_row_is_named(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(BadRoster, match=says):
            read_roster(write(tmp_path, text))


def test_ranges_are_as_even_as_they_can_be() -> None:
    spans = contiguous_ranges([(f"R{n:02d}", "1") for n in range(1, 38)], 1000)
    assert {len(span) for span in spans} == {27, 28}
    assert (len(spans[-1]), spans[-1].last) == (28, 1000)
    assert all(after.first == before.last + 1 for before, after in pairwise(spans))
    with pytest.raises(ValueError, match="2 cases cannot be parted among 3 readers"):
        contiguous_ranges([("a", "1"), ("b", "1"), ("c", "1")], 2)


def test_who_holds_a_range_reads_its_cases_in_order_and_what_two_hold_both_read() -> None:
    spans = [Span("R1", "1", 4, 5), Span("R2", "1", 2, 4), Span("R1", "1", 1, 2)]
    turns = turns_of(spans, {1, 2, 4, 5, 9})
    assert [(turn.reader, turn.place, turn.case) for turn in turns] == [
        ("R1", 0, "4"), ("R1", 1, "5"), ("R1", 2, "1"), ("R1", 3, "2"), ("R2", 0, "2"), ("R2", 1, "4"),
    ]  # fmt: skip
    assert {turn.case for turn in turns if turn.purpose is Purpose.DOUBLE} == {"2", "4"}
    assert {turn.case for turn in turns if turn.purpose is Purpose.SINGLE} == {"1", "5"}
