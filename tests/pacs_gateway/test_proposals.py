import contextlib
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pacs_gateway.negotiation import COMMITMENT
from pacs_gateway.proposals import ProposedContext, decode_proposal
from pacs_gateway.upper_layer import ProtocolError
from tests.pacs_gateway.acceptor import request

GOOD = request(
    [
        (CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]),
        (COMMITMENT, [ImplicitVRLittleEndian]),
    ],
    {COMMITMENT: (False, True)},
    most=65536,
)


def with_item(kind: int, content: bytes) -> bytes:
    return GOOD + pack(">BxH", kind, len(content)) + content


class TestDecodeProposal:
    def test_reads_what_pynetdicom_writes(self) -> None:
        proposal = decode_proposal(GOOD)
        assert (proposal.called_ae, proposal.calling_ae) == ("HUB", "CALLER")
        assert proposal.application_context_name == "1.2.840.10008.3.1.1.1"
        assert proposal.contexts == (
            ProposedContext(1, CTImageStorage, (ExplicitVRLittleEndian, ImplicitVRLittleEndian)),
            ProposedContext(3, COMMITMENT, (ImplicitVRLittleEndian,)),
        )
        assert proposal.maximum_length == 65536
        assert proposal.roles == {COMMITMENT: (False, True)}

    def test_items_of_an_unknown_type_are_passed_over(self) -> None:
        assert decode_proposal(with_item(0x99, b"whatever")) == decode_proposal(GOOD)

    def test_titles_and_uids_may_be_padded_with_null(self) -> None:
        padded = GOOD.replace(b"HUB             ", b"HUB".ljust(16, b"\0"))
        assert decode_proposal(padded).called_ae == "HUB"

    @pytest.mark.parametrize(
        ("broken", "why"),
        [
            (GOOD[:60], "60 bytes are none"),
            (GOOD.replace(b"CALLER", b"      "), "no calling AE title"),
            (GOOD.replace(b"CALLER", b"CAL\nER"), "no calling AE title"),
            (GOOD.replace(b"HUB ", b"H\xffB "), "no called AE title"),
            (GOOD[:-1], "an item of"),
            (GOOD + b"\x20\x00", "cut off in its header"),
            (with_item(0x20, b"\x02\0\0\0"), "without an odd number"),
            (with_item(0x20, b"\x05\0\0\0"), "context 5 lacks its abstract or transfer syntax"),
            (with_item(0x10, b"1" * 65), "a UID of 65 bytes, the limit is 64"),
            (with_item(0x50, b"\x51\0\0\x02\0\0"), "a maximum length of 2 bytes"),
            (with_item(0x50, b"\x54\0\0\x04\0\x09\0\0"), "a role selection of the wrong length"),
        ],
    )
    def test_says_what_is_wrong(self, broken: bytes, why: str) -> None:
        with pytest.raises(ProtocolError, match=why):
            decode_proposal(broken)

    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def test_any_bytes_give_a_proposal_or_a_protocol_error(self, data: st.DataObject) -> None:
        content = bytearray(GOOD)
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(ProtocolError):
            decode_proposal(bytes(content[: data.draw(st.integers(0, len(content)))]))
