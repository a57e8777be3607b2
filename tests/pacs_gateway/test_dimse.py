import contextlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dsutils import decode

from pacs_gateway.dimse import BadCommand, Command, decode_command, encode_response
from tests.pacs_gateway.wire import ECHO_RQ, STORE_RQ, command

REQUEST = Command(STORE_RQ, 7, CTImageStorage, "1.2.3", True)


class TestDecode:
    @given(st.integers(0, 65535), st.from_regex(r"[0-9.]{1,64}", fullmatch=True), st.booleans())
    def test_round_trip(self, message_id: int, uid: str, data_set: bool) -> None:
        encoded = command(
            STORE_RQ, sop_class=CTImageStorage, sop_instance=uid, message_id=message_id, data_set=data_set
        )
        assert decode_command(encoded) == Command(STORE_RQ, message_id, CTImageStorage, uid, data_set)

    def test_echo_has_no_instance(self) -> None:
        assert decode_command(command(ECHO_RQ, sop_class="1.2", data_set=False)).sop_instance_uid == ""

    @pytest.mark.parametrize("content", [b"", b"\0" * 20, b"not a command set at all"])
    def test_other_bytes_are_no_command(self, content: bytes) -> None:
        with pytest.raises(BadCommand):
            decode_command(content)

    @given(st.binary(max_size=200))
    def test_never_raises_anything_else(self, content: bytes) -> None:
        with contextlib.suppress(BadCommand):
            decode_command(content)


class TestEncode:
    @given(st.integers(0, 65535), st.text(max_size=100))
    def test_pydicom_reads_the_response(self, status: int, comment: str) -> None:
        ds = decode(BytesIO(encode_response(REQUEST, status, comment)), True, True)
        assert (ds.Status, ds.CommandField, ds.MessageIDBeingRespondedTo) == (status, 0x8001, 7)
        assert (ds.AffectedSOPClassUID, ds.AffectedSOPInstanceUID) == (CTImageStorage, "1.2.3")
        assert len(str(ds.get("ErrorComment", ""))) <= 64
        assert set(ds.dir()) <= set(C_STORE_RSP().command_set.dir())
