"""DIMSE command sets in and out, as far as a provider of storage and its notices needs them.

A command set is always implicit VR little endian (PS3.7 section 6.3.1). pynetdicom's message classes go
through pydicom data sets, which costs time for every image and warns of illegal UIDs that scanners send.
"""

from dataclasses import dataclass
from struct import pack

from pydicom.uid import ImplicitVRLittleEndian

from pacs_gateway.elements import UnreadableDataSet, Values, scan
from pacs_gateway.status import COMMENT_LIMIT

# Command Field - PS3.7 Annex E, table E.1-1
C_STORE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
N_EVENT_REPORT_RQ, N_SET_RQ, N_ACTION_RQ, N_CREATE_RQ = 0x0100, 0x0120, 0x0130, 0x0140
NOTICES = frozenset({N_EVENT_REPORT_RQ, N_SET_RQ, N_ACTION_RQ, N_CREATE_RQ})
RESPONSE = 0x8000
NO_DATA_SET = 0x0101

AFFECTED_SOP_CLASS_UID, REQUESTED_SOP_CLASS_UID = 0x00000002, 0x00000003
COMMAND_FIELD, MESSAGE_ID = 0x00000100, 0x00000110
COMMAND_DATA_SET_TYPE = 0x00000800
AFFECTED_SOP_INSTANCE_UID, REQUESTED_SOP_INSTANCE_UID = 0x00001000, 0x00001001
EVENT_TYPE_ID, ACTION_TYPE_ID = 0x00001002, 0x00001008
COMMAND_TAGS = frozenset(
    {
        AFFECTED_SOP_CLASS_UID,
        REQUESTED_SOP_CLASS_UID,
        COMMAND_FIELD,
        MESSAGE_ID,
        COMMAND_DATA_SET_TYPE,
        AFFECTED_SOP_INSTANCE_UID,
        REQUESTED_SOP_INSTANCE_UID,
        EVENT_TYPE_ID,
        ACTION_TYPE_ID,
    }
)
COMMAND_LIMIT = 64 * 1024


class BadCommand(ValueError):
    """A command set that cannot be answered."""


@dataclass(frozen=True, slots=True)
class Command:
    """A request as far as a provider must know it."""

    field: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    has_data_set: bool
    type_id: int = 0
    """Of an event or action."""


def decode_command(encoded: bytes | bytearray) -> Command:
    """Read a request's command set.

    Raises:
        BadCommand: not a command set, or without a command field.
    """
    try:
        values = scan(encoded, ImplicitVRLittleEndian, COMMAND_TAGS)
    except UnreadableDataSet as error:
        raise BadCommand(f"command set: {error}") from error
    field = _number(values, COMMAND_FIELD)
    if field is None:
        raise BadCommand("command set without a command field")
    data_set_type = _number(values, COMMAND_DATA_SET_TYPE)
    return Command(
        field=field,
        message_id=_number(values, MESSAGE_ID) or 0,
        sop_class_uid=_uid(values, AFFECTED_SOP_CLASS_UID) or _uid(values, REQUESTED_SOP_CLASS_UID),
        sop_instance_uid=_uid(values, AFFECTED_SOP_INSTANCE_UID) or _uid(values, REQUESTED_SOP_INSTANCE_UID),
        has_data_set=data_set_type is not None and data_set_type != NO_DATA_SET,
        type_id=_number(values, EVENT_TYPE_ID) or _number(values, ACTION_TYPE_ID) or 0,
    )


def encode_response(command: Command, status: int, comment: str = "") -> bytes:
    """The command set that answers a request. PS3.7 sections 9.3.1.2 and 9.3.5.2."""
    body = b"".join(
        (
            _element(0x0002, _padded(command.sop_class_uid, b"\x00")) if command.sop_class_uid else b"",
            _element(0x0100, pack("<H", command.field | RESPONSE)),
            _element(0x0120, pack("<H", command.message_id)),
            _element(0x0800, pack("<H", NO_DATA_SET)),
            _element(0x0900, pack("<H", status)),
            _element(0x0902, _padded(_one_line(comment), b" ")) if comment else b"",
            _element(0x1000, _padded(command.sop_instance_uid, b"\x00")) if command.sop_instance_uid else b"",
            _type_id(command),
        )
    )
    return _element(0x0000, pack("<I", len(body))) + body


def _type_id(command: Command) -> bytes:
    numbers = {N_EVENT_REPORT_RQ: 0x1002, N_ACTION_RQ: 0x1008}
    number = numbers.get(command.field)
    return b"" if number is None else _element(number, pack("<H", command.type_id))


def _one_line(comment: str) -> str:
    """As an LO holds it: a backslash would begin a second value."""
    return "".join(letter if " " <= letter <= "~" and letter != "\\" else "?" for letter in comment)[
        :COMMENT_LIMIT
    ]


def _element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii", "replace")
    return value + padding * (len(value) % 2)


def _number(values: Values, tag: int) -> int | None:
    raw = values.get(tag, b"")
    return int.from_bytes(raw, "little") if len(raw) == 2 else None


def _uid(values: Values, tag: int) -> str:
    return values.get(tag, b"").decode("latin-1").strip("\x00 ")
