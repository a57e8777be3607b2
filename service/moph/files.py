"""The 43 files of a hospital's referrals as text, zipped, for those that upload them by hand.

One file a kind: UTF-8, a header, fields between bars, times as YYYYMMDDhhmmss by Thailand's clock and the
Western year. Prose is cut at the width that the ministry gives it, a number or a code never; bars and line
breaks become spaces.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from service.moph.records import (
    Record,
    Value,
    care_refer,
    clinical_refer,
    investigation_refer,
    refer_history,
    refer_result,
)
from service.moph.refers import Refer
from service.thai_time import THAILAND

TEXT: Final = 255
MOMENT: Final = 14

COLUMNS: Final[Mapping[str, Mapping[str, int]]] = {
    "REFER_HISTORY": {
        "HOSPCODE": 5,
        "REFERID": 10,
        "REFERID_PROVINCE": 15,
        "PID": 15,
        "SEQ": 16,
        "AN": 9,
        "REFERID_ORIGIN": 10,
        "HOSPCODE_ORIGIN": 5,
        "DATETIME_SERV": MOMENT,
        "DATETIME_ADMIT": MOMENT,
        "DATETIME_REFER": MOMENT,
        "CLINIC_REFER": 5,
        "HOSP_DESTINATION": 5,
        "CHIEFCOMP": TEXT,
        "PHYSICALEXAM": TEXT,
        "DIAGFIRST": TEXT,
        "DIAGLAST": TEXT,
        "PSTATUS": TEXT,
        "PTYPE": 1,
        "EMERGENCY": 1,
        "PTYPEDIS": 2,
        "CAUSEOUT": 1,
        "REQUEST": TEXT,
        "PROVIDER": 15,
        "D_UPDATE": MOMENT,
        "CID": 13,
    },
    "CLINICAL_REFER": {
        "HOSPCODE": 5,
        "REFERID": 10,
        "REFERID_PROVINCE": 15,
        "DATETIME_ASSESS": MOMENT,
        "CLINICALCODE": 6,
        "CLINICALNAME": TEXT,
        "CLINICALVALUE": 6,
        "CLINICALRESULT": TEXT,
        "D_UPDATE": MOMENT,
    },
    "CARE_REFER": {
        "HOSPCODE": 5,
        "REFERID": 10,
        "REFERID_PROVINCE": 15,
        "CARETYPE": 1,
        "D_UPDATE": MOMENT,
    },
    "INVESTIGATION_REFER": {
        "HOSPCODE": 5,
        "REFERID": 10,
        "REFERID_PROVINCE": 15,
        "DATETIME_INVEST": MOMENT,
        "INVESTCODE": 6,
        "INVESTNAME": TEXT,
        "DATETIME_REPORT": MOMENT,
        "INVESTVALUE": 9,
        "INVESTRESULT": TEXT,
        "D_UPDATE": MOMENT,
    },
    "REFER_RESULT": {
        "HOSPCODE": 5,
        "REFERID_SOURCE": 10,
        "REFERID_PROVINCE": 15,
        "HOSP_SOURCE": 5,
        "REFER_RESULT": 1,
        "DATETIME_IN": MOMENT,
        "PID_IN": 15,
        "AN_IN": 9,
        "REASON": TEXT,
        "D_UPDATE": MOMENT,
    },
}
"""The columns of each file in order, with their widths in characters."""

END = "\r\n"


def text_file(kind: str, records: Iterable[Record]) -> str:
    """One file; columns that a record has beside the file's are left out."""
    columns = COLUMNS[kind]
    lines = ["|".join(columns)]
    lines += [
        "|".join(_field(record.get(name), width) for name, width in columns.items()) for record in records
    ]
    return END.join(lines) + END


def write_files(sent: Sequence[Refer], received: Sequence[Refer], at: datetime) -> bytes:
    """The zip of one hospital.

    Args:
        sent: What it referred.
        received: What was referred to it.
        at: When it is made, for the zip's own dates.
    """
    kinds: dict[str, list[Record]] = {
        "REFER_HISTORY": [refer_history(each) for each in sent],
        "CLINICAL_REFER": [row for each in sent for row in clinical_refer(each)],
        "CARE_REFER": [row for each in sent for row in care_refer(each)],
        "INVESTIGATION_REFER": [row for each in sent for row in investigation_refer(each)],
        "REFER_RESULT": [row for each in received if (row := refer_result(each)) is not None],
    }
    local = at.astimezone(THAILAND)
    made = (local.year, local.month, local.day, local.hour, local.minute, local.second)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind, records in kinds.items():
            entry = zipfile.ZipInfo(f"{kind}.txt", made)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text_file(kind, records))
    return buffer.getvalue()


def file_moment(value: datetime) -> str:
    """YYYYMMDDhhmmss in Thailand."""
    return value.astimezone(THAILAND).strftime("%Y%m%d%H%M%S")


def _field(value: Value, width: int) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return file_moment(value)
    # line breaks of every kind, bars and what no editor shows
    text = re.sub(r"[|\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(value)).strip()
    return text[:TEXT].strip() if width == TEXT else text
