"""What stays of free text: what was examined and how, and nothing of whom."""

import pytest

from pacs_gateway.free_text import Secrets, describe, sweep

NOBODY = Secrets(())


@pytest.mark.parametrize(
    "text",
    [
        "1101700230708", "1-1017-00230-70-8", "1 1017 00230 70 8", "1.1017.00230.70.8",
        "1  1017  00230 70  8",
        "๑๑๐๑๗๐๐๒๓๐๗๐๘", "9999999999999", "HN 12-345", "hn:4711/69", "AN.66001234", "Mr. Somchai Jaidee",
        "นายสมชาย ใจดี", "12/03/2503", "1960-03-12", "081-234-5678", "004711",
    ],
)  # fmt: skip
def test_who_is_taken_out_of_technical_text(text: str) -> None:
    assert sweep(f"syngo CT {text}", NOBODY) == "syngo CT"


@pytest.mark.parametrize("text", ["H31s", "VA48A", "syngo CT 2012B", "3.40", "gmp_vct.42", "STD+"])
def test_technical_words_stay(text: str) -> None:
    assert sweep(text, NOBODY) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Head 5.0 H31s", "Head 5.0 H31s"),
        ("CT BRAIN WITHOUT CONTRAST", "CT BRAIN WITHOUT CONTRAST"),
        ("Brain 5 mm Somsri ward 7", "Brain 5 mm"),
        ("CT สมอง สมชาย", "CT สมอง"),
        ("สมองสมชาย", ""),
        ("Bed 12 room 4 Udon Thani", ""),
    ],
)
def test_descriptions_keep_words_of_the_vocabulary_alone(text: str, left: str) -> None:
    assert describe(text, NOBODY) == left


def test_a_name_that_is_a_word_of_the_vocabulary_is_still_a_name() -> None:
    assert describe("Head Long 5.0", Secrets(["Long"])) == "Head 5.0"


def test_short_secrets_are_words_of_their_own() -> None:
    assert sweep("Li Lithium", Secrets(["Li"])) == "Lithium"
