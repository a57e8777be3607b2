"""A caller that sends raw bytes, to say what no well-behaved library would."""

import socket
from struct import pack, unpack

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

STORE_RQ, ECHO_RQ = 0x0001, 0x0030


def element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


def command(
    field: int, *, sop_class: str, sop_instance: str = "", message_id: int = 1, data_set: bool = True
) -> bytes:
    body = b"".join(
        (
            element(0x0002, sop_class.encode() + b"\0" * (len(sop_class) % 2)),
            element(0x0100, pack("<H", field)),
            element(0x0110, pack("<H", message_id)),
            element(0x0700, pack("<H", 0)),
            element(0x0800, pack("<H", 1 if data_set else 0x0101)),
            element(0x1000, sop_instance.encode() + b"\0" * (len(sop_instance) % 2)) if sop_instance else b"",
        )
    )
    return element(0, pack("<I", len(body))) + body


def p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    return pack(">BxIIBB", 4, len(fragment) + 6, len(fragment) + 2, context_id, control) + fragment


class RawCaller:
    """One connection; context 1 is CT, 3 is Verification, both explicit VR little endian."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def __enter__(self) -> "RawCaller":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def associate(
        self, *contexts: str, calling_ae: str = "RAW", syntaxes: tuple[str, ...] = ()
    ) -> dict[int, tuple[int, str]]:
        """Open the association; result and transfer syntax by context id."""
        request = A_ASSOCIATE()
        request.application_context_name = "1.2.840.10008.3.1.1.1"
        request.calling_ae_title, request.called_ae_title = calling_ae, "IMAGINGHUB"
        proposed = []
        for number, uid in enumerate(contexts or (CTImageStorage, Verification)):
            context = build_context(uid, list(syntaxes) or [ExplicitVRLittleEndian])
            context.context_id = 2 * number + 1
            proposed.append(context)
        request.presentation_context_definition_list = proposed
        length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
        length.maximum_length_received, implementation.implementation_class_uid = 16384, "1.2.3.4"
        request.user_information = [length, implementation]
        self.send(A_ASSOCIATE_RQ(request).encode())
        pdu_type, content = self.read()
        assert pdu_type == 2, f"PDU type {pdu_type}"
        answer = A_ASSOCIATE_AC()
        answer.decode(pack(">BxI", 2, len(content)) + content)
        results = answer.to_primitive().presentation_context_definition_results_list
        return {
            c.context_id: (c.result, str(c.transfer_syntax[0]) if c.transfer_syntax else "") for c in results
        }

    def read(self) -> tuple[int, bytes]:
        """The next PDU; type 0 where the connection has ended."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, b""
        pdu_type, length = unpack(">BxI", header)
        return pdu_type, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            try:
                received = self.socket.recv(count - len(content))
            except ConnectionResetError:
                return content
            if not received:
                return content
            content += received
        return content

    def store(
        self, sop_instance: str, data_set: bytes, *, sop_class: str = CTImageStorage, size: int = 16000
    ) -> tuple[int, str]:
        """C-STORE; the status and comment answered."""
        self.send(p_data(1, 3, command(STORE_RQ, sop_class=sop_class, sop_instance=sop_instance)))
        pieces = [data_set[start : start + size] for start in range(0, len(data_set), size)] or [b""]
        for piece in pieces[:-1]:
            self.send(p_data(1, 0, piece))
        self.send(p_data(1, 2, pieces[-1]))
        return self.answer()

    def answer(self) -> tuple[int, str]:
        pdu_type, content = self.read()
        assert pdu_type == 4, f"PDU type {pdu_type}"
        values, position = {}, 6
        while position < len(content):
            _, number, length = unpack("<HHI", content[position : position + 8])
            values[number] = content[position + 8 : position + 8 + length]
            position += 8 + length
        return unpack("<H", values[0x0900])[0], values.get(0x0902, b"").decode().strip()

    def release(self) -> None:
        self.send(pack(">BxI4x", 5, 4))
        assert self.read()[0] == 6
