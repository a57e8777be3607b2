import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
)

from pacs_gateway.elements import UnreadableDataSet, scan, scan_opening
from tests.pacs import make_slice

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]
WANTED = {0x00100010, 0x0020000D, 0x00280010}


def encoded(syntax: str, **attributes: object) -> bytes:
    ds = make_slice(**attributes)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = syntax != ExplicitVRBigEndian
    write_dataset(buffer, ds)
    content = buffer.getvalue()
    if syntax != DeflatedExplicitVRLittleEndian:
        return content
    deflator = zlib.compressobj(wbits=-15)
    return deflator.compress(content) + deflator.flush()


class TestScan:
    @pytest.mark.parametrize("syntax", SYNTAXES)
    def test_finds_the_elements_in_every_encoding(self, syntax: str) -> None:
        values = scan(encoded(syntax), syntax, WANTED)
        assert values[0x0020000D].rstrip(b"\x00") == b"1.2.3.1"
        assert values[0x00100010].rstrip() == b"Simulated^Patient"
        assert int.from_bytes(values[0x00280010], "big" if syntax == ExplicitVRBigEndian else "little") == 16

    @pytest.mark.parametrize("syntax", SYNTAXES)
    @pytest.mark.parametrize("kept", [0.01, 0.3, 0.6, 0.95])
    def test_a_cut_off_data_set_is_unreadable(self, syntax: str, kept: float) -> None:
        content = encoded(syntax)
        with pytest.raises(UnreadableDataSet):
            scan(content[: int(len(content) * kept) | 1], syntax, WANTED)

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_text_is_no_data_set(self, syntax: str) -> None:
        with pytest.raises(UnreadableDataSet):
            scan(b"Dear radiologist, please find the report of the patient below.\n" * 40, syntax, WANTED)

    def test_walks_over_sequences_of_undefined_length(self) -> None:
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x16\x00UI\x02\x001\x00"
        ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + item + ends
        found = scan(sequence + b"\x20\x00\x0d\x00UI\x04\x001.2\0", ExplicitVRLittleEndian, WANTED)
        assert found == {0x0020000D: b"1.2\0"}

    def test_an_unknown_vr_of_undefined_length_is_implicit_inside(self) -> None:
        item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x16\x00\x02\0\0\x001\x00"
        ends = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        sequence = b"\x09\x00\x40\x11UN\0\0\xff\xff\xff\xff" + item + ends
        found = scan(sequence + b"\x20\x00\x0d\x00UI\x04\x001.2\0", ExplicitVRLittleEndian, WANTED)
        assert found == {0x0020000D: b"1.2\0"}

    def test_walks_over_compressed_pixels_and_misses_their_end(self) -> None:
        pixels = (
            b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
            + b"\xfe\xff\x00\xe0\0\0\0\0"
            + b"\xfe\xff\x00\xe0\x04\0\0\0abcd"
        )
        scan(pixels + b"\xfe\xff\xdd\xe0\0\0\0\0", JPEGLosslessSV1, WANTED)
        with pytest.raises(UnreadableDataSet):
            scan(pixels, JPEGLosslessSV1, WANTED)

    def test_padding_after_the_pixels_is_forgiven(self) -> None:
        assert scan(encoded(ExplicitVRLittleEndian) + b"\xff" * 37, ExplicitVRLittleEndian, WANTED)

    def test_sequences_nested_too_deep_are_unreadable(self) -> None:
        nest = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        with pytest.raises(UnreadableDataSet):
            scan(nest * 5000, ExplicitVRLittleEndian, WANTED)

    @given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
    def test_never_raises_anything_else(self, content: bytes, syntax: str) -> None:
        with contextlib.suppress(UnreadableDataSet):
            scan(content, syntax, WANTED)

    @given(st.data(), st.sampled_from(SYNTAXES))
    def test_never_raises_anything_else_on_damaged_data_sets(self, data: st.DataObject, syntax: str) -> None:
        content = bytearray(encoded(syntax))
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(UnreadableDataSet):
            scan(bytes(content), syntax, WANTED)


class TestScanOpening:
    @pytest.mark.parametrize("syntax", SYNTAXES[:3])
    def test_tells_from_the_first_bytes_what_the_whole_holds(self, syntax: str) -> None:
        content = encoded(syntax)
        assert scan_opening(content[:-500], syntax, WANTED) == (scan(content, syntax, WANTED), len(content))

    def test_tells_nothing_before_the_pixels_begin(self) -> None:
        content = encoded(ExplicitVRLittleEndian)
        assert scan_opening(content[:60], ExplicitVRLittleEndian, WANTED) is None
        deflated = encoded(DeflatedExplicitVRLittleEndian)
        assert scan_opening(deflated, DeflatedExplicitVRLittleEndian, WANTED) is None

    @given(st.data(), st.sampled_from(SYNTAXES))
    def test_agrees_with_the_whole_walk_on_damaged_data_sets(self, data: st.DataObject, syntax: str) -> None:
        content = bytearray(encoded(syntax))
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        kept = data.draw(st.integers(0, len(content)))
        opening = scan_opening(bytes(content[:kept]), syntax, WANTED)
        if opening is not None and opening[1] == len(content):
            assert opening[0] == scan(bytes(content), syntax, WANTED)
