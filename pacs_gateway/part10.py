"""The 128-byte preamble and file meta group round a data set: write ours, read anybody's. PS3.10 7.1."""

from dataclasses import dataclass
from struct import pack

from pacs_gateway.elements import Buffer, UnreadableDataSet, Walk

PREAMBLE = 128
MAGIC = b"DICM"
IMPLEMENTATION_CLASS_UID = "2.25.302713190453062127432049153812768460289"
IMPLEMENTATION_VERSION_NAME = "IMAGINGHUB_1"

MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
MEDIA_STORAGE_SOP_INSTANCE_UID = 0x00020003
TRANSFER_SYNTAX_UID = 0x00020010
SENDING_AE_TITLE = 0x00020017
RECEIVING_AE_TITLE = 0x00020018
PRIVATE_INFORMATION = 0x00020102
META_TAGS = frozenset(
    {
        MEDIA_STORAGE_SOP_CLASS_UID,
        MEDIA_STORAGE_SOP_INSTANCE_UID,
        TRANSFER_SYNTAX_UID,
        SENDING_AE_TITLE,
        RECEIVING_AE_TITLE,
        PRIVATE_INFORMATION,
    }
)
MAX_META = 1 << 20


class NotPart10(UnreadableDataSet):
    """No DICOM file: the preamble, the magic word or the meta group is missing."""


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the meta group says of the data set behind it."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sending_ae: str
    receiving_ae: str
    private_information: bytes
    """As `build_meta` wrote it; empty in other people's files."""
    data_set_offset: int


def build_meta(
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    sending_ae: str,
    receiving_ae: str,
    private_information: bytes,
) -> bytes:
    """Preamble, magic word and meta group of a file whose data set came over an association."""
    group = b"".join(
        (
            _long(0x0001, b"OB", b"\x00\x01"),
            _short(0x0002, b"UI", sop_class_uid),
            _short(0x0003, b"UI", sop_instance_uid),
            _short(0x0010, b"UI", transfer_syntax_uid),
            _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _short(0x0016, b"AE", sending_ae),
            _short(0x0017, b"AE", sending_ae),
            _short(0x0018, b"AE", receiving_ae),
            _short(0x0100, b"UI", IMPLEMENTATION_CLASS_UID),
            _long(0x0102, b"OB", private_information),
        )
    )
    return bytes(PREAMBLE) + MAGIC + pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


def _short(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("latin-1", "replace")
    value += (b"\x00" if vr == b"UI" else b" ") * (len(value) % 2)
    return pack("<HH2sH", 2, element, vr, len(value)) + value


def _long(element: int, vr: bytes, value: bytes) -> bytes:
    value += b"\x00" * (len(value) % 2)
    return pack("<HH2sxxI", 2, element, vr, len(value)) + value


def read_meta(data: Buffer) -> FileMeta:
    """Read the file meta group; the group length need not be right.

    Raises:
        NotPart10: not a Part 10 file, or its transfer syntax is not given.
    """
    if len(data) < PREAMBLE + 4 or bytes(data[PREAMBLE : PREAMBLE + 4]) != MAGIC:
        raise NotPart10(f"no DICM at byte {PREAMBLE}")
    end = min(len(data), PREAMBLE + MAX_META)
    walk = Walk(data, end, explicit=True, big=False, partial=False)
    values: dict[int, bytes] = {}
    position = PREAMBLE + 4
    while position + 8 <= end and bytes(data[position : position + 2]) == b"\x02\x00":
        try:
            tag, length, value = walk.element(position)
        except UnreadableDataSet as error:
            raise NotPart10(f"file meta group: {error}") from error
        if value + length > end:
            raise NotPart10(f"file meta group is cut off in element {tag:08X}")
        if tag in META_TAGS:
            values[tag] = bytes(data[value : value + length])
        position = value + length
    transfer_syntax_uid = _text(values, TRANSFER_SYNTAX_UID)
    if not transfer_syntax_uid:
        raise NotPart10("file meta group gives no transfer syntax")
    return FileMeta(
        sop_class_uid=_text(values, MEDIA_STORAGE_SOP_CLASS_UID),
        sop_instance_uid=_text(values, MEDIA_STORAGE_SOP_INSTANCE_UID),
        transfer_syntax_uid=transfer_syntax_uid,
        sending_ae=_text(values, SENDING_AE_TITLE),
        receiving_ae=_text(values, RECEIVING_AE_TITLE),
        private_information=values.get(PRIVATE_INFORMATION, b"").rstrip(b"\x00"),
        data_set_offset=position,
    )


def _text(values: dict[int, bytes], tag: int) -> str:
    return values.get(tag, b"").decode("latin-1").strip("\x00 ")
