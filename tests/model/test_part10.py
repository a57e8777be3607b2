"""The reader of raw elements takes what it is given without warning, and refuses the rest by name."""

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from model.headers import TAG, WANTED
from model.part10 import BadPart10, Elements, parse_part10, read_part10
from tests.model.heads import Scan, dataset, write


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("part10") / "one.dcm"
    return write(dataset(Scan(side=16), 0), path).read_bytes()


class TestReadPart10:
    @pytest.mark.parametrize(
        "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
    )
    def test_reads_each_uncompressed_syntax(self, tmp_path: Path, syntax: str) -> None:
        path = write(dataset(Scan(side=16), 3), tmp_path / "one.dcm", syntax)
        part10 = read_part10(path, WANTED, pixels=True)
        assert part10.transfer_syntax_uid == syntax
        assert part10.elements.text(TAG["PatientAge"]) == "064Y"
        assert part10.elements.unsigned(TAG["Rows"]) == 16
        assert len(part10.pixel_data) == 16 * 16 * 2

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    @pytest.mark.parametrize("undefined", [True, False])
    def test_walks_over_and_into_sequences(self, tmp_path: Path, syntax: str, undefined: bool) -> None:
        ds = dataset(Scan(side=16), 0)
        inner = Dataset()
        inner.PixelSpacing = [0.5, 0.5]
        ds.ReferencedStudySequence = Sequence([Dataset(), inner])
        ds.PixelMeasuresSequence = Sequence([inner])
        for keyword in ("ReferencedStudySequence", "PixelMeasuresSequence"):
            ds[keyword].is_undefined_length = undefined
        elements = read_part10(write(ds, tmp_path / "one.dcm", syntax), WANTED).elements
        assert elements.text(TAG["Modality"]) == "CT"
        (measures,) = elements.sequences[TAG["PixelMeasuresSequence"]]
        assert measures.floats(TAG["PixelSpacing"]) == (0.5, 0.5)

    def test_a_header_longer_than_the_first_read_is_read_whole(self, tmp_path: Path) -> None:
        ds = dataset(Scan(side=16), 0)
        ds.add_new(0x00091001, "OB", bytes(400_000))
        part10 = read_part10(write(ds, tmp_path / "one.dcm"), WANTED)
        assert part10.elements.unsigned(TAG["Columns"]) == 16

    def test_explicit_elements_under_an_implicit_syntax_are_read_as_they_are(self, content: bytes) -> None:
        lying = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1)
        assert parse_part10(lying, WANTED).elements.text(TAG["Modality"]) == "CT"

    def test_without_a_preamble_it_is_refused(self) -> None:
        with pytest.raises(BadPart10, match="DICM"):
            parse_part10(b"patient,age\n" * 40, WANTED)

    def test_a_header_that_breaks_off_is_refused(self, content: bytes) -> None:
        with pytest.raises(BadPart10):
            parse_part10(content[: content.index(b"HEAD 5MM") + 3], WANTED)

    def test_deep_nesting_is_refused(self) -> None:
        nest = (
            struct.pack("<HH2sHL", 8, 0x1111, b"SQ", 0, 0xFFFFFFFF)
            + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
        ) * 40
        with pytest.raises(BadPart10, match="nested"):
            parse_part10(bytes(128) + b"DICM" + nest, WANTED)

    @settings(deadline=None, max_examples=300)
    @given(st.data())
    def test_damage_anywhere_gives_a_header_or_a_refusal(self, content: bytes, data: st.DataObject) -> None:
        header = bytearray(content[:1200])
        for _ in range(data.draw(st.integers(1, 6))):
            header[data.draw(st.integers(132, len(header) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(0, len(header)))
        with contextlib.suppress(BadPart10):
            parse_part10(bytes(header[:cut]), WANTED)

    @settings(deadline=None)
    @given(st.binary(max_size=400))
    def test_any_bytes_after_the_prefix_give_a_header_or_a_refusal(self, tail: bytes) -> None:
        with contextlib.suppress(BadPart10):
            parse_part10(bytes(128) + b"DICM" + tail, WANTED)


class TestElements:
    @pytest.mark.parametrize("value", [b"1\\x", b"", b"nan\\1", b"inf", b"\\"])
    def test_numbers_that_are_none_give_no_numbers(self, value: bytes) -> None:
        assert Elements({1: value}).floats(1) == ()

    def test_padding_is_no_part_of_a_text(self) -> None:
        assert Elements({1: b"ORIGINAL \\PRIMARY\0"}).texts(1) == ("ORIGINAL", "PRIMARY")
