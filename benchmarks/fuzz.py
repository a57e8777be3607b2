"""Broken DICOM for the listener: whole conversations, with bytes changed, cut, doubled or shuffled."""

import random
import socket
import time
from struct import pack

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from pacs_gateway.negotiation import COMMITMENT, MPPS
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID
from pacs_gateway.upper_layer import MAX_PDU

STORE, ECHO, ACTION, CREATE = 0x0001, 0x0030, 0x0130, 0x0140
ANSWER_SECONDS = 0.02
VERIFICATION = "1.2.840.10008.1.1"
CONTEXTS = (str(CTImageStorage), VERIFICATION, COMMITMENT, MPPS)


def associate_request(calling_ae: str = "FUZZ") -> bytes:
    """An A-ASSOCIATE-RQ whose contexts are 1, 3, 5 and 7: CT, verification, commitment, MPPS."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = calling_ae, "IMAGINGHUB"
    proposed = []
    for number, uid in enumerate(CONTEXTS):
        context = build_context(uid, ExplicitVRLittleEndian)
        context.context_id = 2 * number + 1
        proposed.append(context)
    request.presentation_context_definition_list = proposed
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = MAX_PDU
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    request.user_information = [length, implementation]
    return bytes(A_ASSOCIATE_RQ(request).encode())


def message(
    context_id: int, field: int, sop_class: str, data_set: bytes, *, sop_instance: str = "1.2.3.4"
) -> bytes:
    """A command and its data set as P-DATA-TF PDUs."""
    body = b"".join(
        (
            _element(0x0002, _uid(sop_class)),
            _element(0x0100, pack("<H", field)),
            _element(0x0110, pack("<H", 1)),
            _element(0x0800, pack("<H", 1 if data_set else 0x0101)),
            _element(0x1000, _uid("1.2.3.4")),
            _element(0x1008, pack("<H", 1)),
        )
    )
    command = _p_data(context_id, 3, _element(0, pack("<I", len(body))) + body)
    return command + (_p_data(context_id, 2, data_set) if data_set else b"")


def conversations(data_set: bytes) -> list[list[bytes]]:
    """What well-behaved callers say, PDU by PDU."""
    release = pack(">BxI4x", 5, 4)
    uid = _uid("1.2.9.1")
    referenced = pack("<HH2sH", 0x0008, 0x1195, b"UI", len(uid)) + uid
    return [
        [associate_request(), message(3, ECHO, VERIFICATION, b""), release],
        [associate_request(), message(1, STORE, CONTEXTS[0], data_set), release],
        [associate_request(), message(5, ACTION, COMMITMENT, referenced), release],
        [associate_request(), message(7, CREATE, MPPS, referenced), release],
    ]


def broken(conversation: list[bytes], dice: random.Random) -> list[bytes]:
    """The conversation with one to four things wrong."""
    said = list(conversation)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(said))
        piece = bytearray(said[place])
        match dice.randrange(6):
            case 0:  # flip bytes, the head of the PDU most of all
                for _ in range(dice.randint(1, 8)):
                    piece[dice.randrange(min(len(piece), dice.choice((10, 80, len(piece)))) or 1)] = (
                        dice.randrange(256)
                    )
            case 1:
                del piece[dice.randrange(len(piece)) :]
            case 2:
                piece[2:6] = pack(">I", dice.choice((0, 1, 5, 2**17, 2**31, 2**32 - 1)))
            case 3:
                piece[dice.randrange(len(piece)) : 0] = dice.randbytes(dice.randint(1, 64))
            case 4:
                said.insert(dice.randrange(len(said)), said[place])
            case _:
                dice.shuffle(said)
                continue
        said[place] = bytes(piece) or b"\x00"
    return said


def fuzz(port: int, data_set: bytes, *, seconds: float, seed: int) -> int:
    """Say broken things to a listener for so long; how many conversations that were."""
    dice, said, end = random.Random(seed), 0, time.monotonic() + seconds
    whole = conversations(data_set)
    while time.monotonic() < end:
        _say(port, broken(dice.choice(whole), dice))
        said += 1
    return said


def _say(port: int, pieces: list[bytes]) -> None:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.settimeout(ANSWER_SECONDS)
            for piece in pieces:
                connection.sendall(piece)
                try:
                    if not connection.recv(65536):
                        return
                except TimeoutError:
                    continue
    except OSError:
        return  # aborted, which is what a listener should do


def _p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    return pack(">BxIIBB", 4, len(fragment) + 6, len(fragment) + 2, context_id, control) + fragment


def _element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


def _uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)
