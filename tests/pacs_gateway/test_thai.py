import unicodedata
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_gateway.thai import THAI_G1, decode_thai, repair_date

NAME = "สมชาย^ใจดี"
CONSONANTS = "กขคงจฉชซญดตถทธนบปผฝพฟมยรลวศสหอฮ"
words = st.text(CONSONANTS + "ะาำิีึืุูเแโใไ่้็์", min_size=2, max_size=12).filter(
    lambda word: word[0] in CONSONANTS and word[1] in CONSONANTS
)
TODAY = date(2026, 11, 22)


class TestDecodeThai:
    @pytest.mark.parametrize(
        "declared", [None, "", "ISO_IR 100", "ISO_IR 166", "ISO_IR 192", "\\ISO 2022 IR 166", "nonsense"]
    )
    @pytest.mark.parametrize("codec", ["cp874", "utf-8"])
    def test_reads_thai_whatever_was_declared(self, declared: str | None, codec: str) -> None:
        assert decode_thai(NAME.encode(codec), declared) == (NAME, codec)

    def test_reads_iso_2022_escapes(self) -> None:
        raw = b"Somchai^Jaidee=" + THAI_G1 + "สมชาย".encode("cp874") + b"^" + THAI_G1 + "ใจดี".encode("cp874")
        assert decode_thai(raw, "\\ISO 2022 IR 166") == (f"Somchai^Jaidee={NAME}", "cp874")

    def test_reads_a_no_break_space(self) -> None:
        assert decode_thai("สมชาย\xa0ใจดี".encode("cp874"), None) == ("สมชาย\xa0ใจดี", "cp874")

    @pytest.mark.parametrize("name", ["Müller^Jörg", "José^Garçon", "Crème^Brûlée"])
    def test_latin_names_stay_latin(self, name: str) -> None:
        assert decode_thai(name.encode("latin-1"), "ISO_IR 100")[0] == name

    def test_latin_utf8_stays_when_declared(self) -> None:
        assert decode_thai("Müller".encode(), "ISO_IR 192") == ("Müller", "utf-8")

    def test_plain_ascii(self) -> None:
        assert decode_thai(b"HN 123 \x00", "ISO_IR 166") == ("HN 123", "ascii")

    def test_sara_am_is_not_taken_apart(self) -> None:
        assert decode_thai("น้ำ".encode("cp874"), None)[0] == unicodedata.normalize("NFC", "น้ำ")
        assert "\u0e33" in decode_thai("น้ำ".encode("cp874"), None)[0]

    @given(words, st.sampled_from(["cp874", "utf-8"]), st.sampled_from([None, "ISO_IR 100", "ISO_IR 166"]))
    def test_round_trip(self, word: str, codec: str, declared: str | None) -> None:
        assert decode_thai(word.encode(codec), declared)[0] == unicodedata.normalize("NFC", word)

    @given(st.binary(max_size=64), st.none() | st.text(max_size=20))
    def test_always_gives_text(self, raw: bytes, declared: str | None) -> None:
        text, charset = decode_thai(raw, declared)
        assert isinstance(text, str)
        assert charset


class TestRepairDate:
    def test_buddhist_years_are_turned_back(self) -> None:
        assert repair_date("25690214", today=TODAY) == (date(2026, 2, 14), True)
        assert repair_date("25030425", today=TODAY) == (date(1960, 4, 25), True)

    def test_common_era_stays(self) -> None:
        assert repair_date("19600425", today=TODAY) == (date(1960, 4, 25), False)
        assert repair_date("1960.04.25", today=TODAY) == (date(1960, 4, 25), False)

    def test_leap_days_are_judged_in_the_common_era(self) -> None:
        assert repair_date("25670229", today=TODAY) == (date(2024, 2, 29), True)

    @pytest.mark.parametrize("text", ["", "2026", "20261301", "20260230", "๒๕๖๙๐๑๐๑", "00000000"])
    def test_what_is_no_date_is_none(self, text: str) -> None:
        assert repair_date(text, today=TODAY) == (None, False)

    @given(st.dates(date(1900, 1, 1), TODAY))
    def test_round_trip(self, day: date) -> None:
        assert repair_date(day.strftime("%Y%m%d"), today=TODAY) == (day, False)
        if day.year + 543 > TODAY.year + 100:
            assert repair_date(f"{day.year + 543}{day:%m%d}", today=TODAY) == (day, True)

    @given(st.text(max_size=12))
    def test_never_raises(self, text: str) -> None:
        repair_date(text, today=TODAY)
