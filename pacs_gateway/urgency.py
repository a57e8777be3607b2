"""How soon an image should cross a weak link: stroke and head CT before all else, by what its header says."""

import mmap
import re
from pathlib import Path
from typing import Final

from pacs_gateway.elements import UnreadableDataSet, scan
from pacs_gateway.part10 import read_meta
from pacs_gateway.thai import decode_thai

CHARSET, MODALITY = 0x00080005, 0x00080060
STUDY_DESCRIPTION, SERIES_DESCRIPTION = 0x00081030, 0x0008103E
BODY_PART, PROTOCOL = 0x00180015, 0x00181030
WORDS: Final = frozenset({STUDY_DESCRIPTION, SERIES_DESCRIPTION, BODY_PART, PROTOCOL})
TAGS: Final = WORDS | {CHARSET, MODALITY}

STROKE: Final = re.compile(r"stroke|fast.?track|สโตรก|หลอดเลือดสมอง", re.IGNORECASE)
HEAD: Final = re.compile(r"head|brain|skull|cran|neuro|สมอง|ศีรษะ", re.IGNORECASE)

STROKE_CT, HEAD_CT, OTHER_CT, OTHER = range(4)


def rank_of(path: Path) -> int:
    """0 for a CT asked for as stroke, 1 for another CT of the head, 2 for any other CT, 3 for the rest."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            meta = read_meta(data)
            values = scan(data, meta.transfer_syntax_uid, TAGS, start=meta.data_set_offset)
    except UnreadableDataSet:
        return OTHER
    declared = values.get(CHARSET, b"").decode("latin-1").strip("\x00 ")
    words = " ".join(decode_thai(values[tag], declared)[0] for tag in sorted(WORDS) if tag in values)
    if values.get(MODALITY, b"").strip(b"\x00 ") != b"CT":
        return OTHER
    if STROKE.search(words):
        return STROKE_CT
    return HEAD_CT if HEAD.search(words) else OTHER_CT
