"""Answers for a whole batch of cases from a hospital's spreadsheet: every row is read, or named with why not.

Encodings are those that Thai spreadsheets write: UTF-8 with or without its mark, else Windows-874. Dates may
be of the Buddhist era, and digits Thai.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType

from labeling.answers import THAILAND, Answer, Answers, Criterion
from labeling.wording import Both

MOST_ROWS = 5000
IDENTITY = ("study_uid", "accession_number", "hn", "ct_date")
"""A row names its study by the first, or the second, or the last two."""
OTHERS = ("icd10", "onset_date", "onset_time", "citizen_id", "report_text")
COLUMNS = (*IDENTITY, *(each.value for each in Criterion), *OTHERS)
BUDDHIST_FROM, BUDDHIST_ERA = 2400, 543
"""A year from the first on is of the Buddhist era, which is so many years ahead."""

_THAI_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789")
_ANSWERS = {
    Answer.YES: ("yes", "y", "1", "true", "ใช่", "มี"),
    Answer.NO: ("no", "n", "0", "false", "ไม่ใช่", "ไม่", "ไม่มี"),
    Answer.UNKNOWN: ("", "unknown", "?", "ไม่ทราบ"),
}


class RowFault(StrEnum):
    """Why a row is not taken."""

    TOO_MANY_CELLS = "too_many_cells"
    NO_STUDY = "no_study"
    BAD_ANSWER = "bad_answer"
    BAD_DATE = "bad_date"
    BAD_TIME = "bad_time"
    TIME_WITHOUT_DATE = "time_without_date"
    TWICE = "twice"


FAULTS: Mapping[RowFault, Both] = MappingProxyType(
    {
        RowFault.TOO_MANY_CELLS: Both(
            "มี {found} ช่อง แต่หัวตารางมี {expected} ช่อง", "it has {found} cells, the header has {expected}"
        ),
        RowFault.NO_STUDY: Both(
            "ไม่บอกว่าเป็นการตรวจใด ต้องมี study_uid หรือ accession_number หรือ hn กับ ct_date",
            "it names no study: study_uid, or accession_number, or hn with ct_date",
        ),
        RowFault.BAD_ANSWER: Both(
            "{column}: {value!r} ไม่ใช่คำตอบ ใช้ yes, no หรือเว้นว่าง",
            "{column}: {value!r} is no answer; write yes, no, or leave it empty",
        ),
        RowFault.BAD_DATE: Both(
            "{column}: {value!r} ไม่ใช่วันที่ เขียนเช่น 2026-11-22 หรือ 22/11/2569",
            "{column}: {value!r} is no date; write 2026-11-22 or 22/11/2569",
        ),
        RowFault.BAD_TIME: Both(
            "onset_time: {value!r} ไม่ใช่เวลา เขียนเช่น 14:30", "onset_time: {value!r} is no time; write 14:30"
        ),
        RowFault.TIME_WITHOUT_DATE: Both("มี onset_time แต่ไม่มี onset_date", "onset_time without onset_date"),
        RowFault.TWICE: Both("เป็นการตรวจเดียวกับแถว {row}", "it names the same study as row {row}"),
    }
)


class BadBatch(ValueError):
    """The file as a whole cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is not taken, in words."""

    code: str
    text: Both


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row; with a fault it has no answers."""

    number: int
    """As the spreadsheet counts: the header is row 1."""
    study_uid: str = ""
    accession_number: str = ""
    hn: str = ""
    ct_date: date | None = None
    answers: Answers = field(default_factory=Answers)
    citizen_id: str = ""
    report: str = ""
    fault: Fault | None = None


class _Refused(Exception):
    def __init__(self, code: RowFault, **values: object) -> None:
        super().__init__(code)
        text = FAULTS[code]
        self.fault = Fault(code.value, Both(text.th.format(**values), text.en.format(**values)))


def template() -> str:
    """An empty batch with its header, as CSV that spreadsheets open as UTF-8."""
    return "\ufeff" + ",".join(COLUMNS) + "\r\n"


def read_batch(content: bytes) -> list[BatchRow]:
    """Every row that is not blank, in order; a row with a fault stops no other.

    Args:
        content: CSV with a header; comma, semicolon or tab between cells.

    Raises:
        BadBatch: no header, a column that is unknown or there twice, no rows, or more than 5000.
    """
    text = _decode(content)
    header, *rows = _cells(text) or [[]]
    names = [name.strip().lower() for name in header]
    if not any(names):
        raise BadBatch(f"the first row must name columns: {', '.join(COLUMNS)}")
    if strange := [name for name in names if name and name not in COLUMNS]:
        raise BadBatch(f"column {strange[0]!r} is unknown; known are {', '.join(COLUMNS)}")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise BadBatch(f"column {twice[0]!r} is there twice")
    filled = [(at, row) for at, row in enumerate(rows, start=2) if any(cell.strip() for cell in row)]
    if not filled:
        raise BadBatch("there is no row under the header")
    if len(filled) > MOST_ROWS:
        raise BadBatch(f"{len(filled)} rows; one batch may have {MOST_ROWS}")
    seen: dict[tuple[object, ...], int] = {}
    return [_row(at, names, row, seen) for at, row in filled]


def _decode(content: bytes) -> str:
    for charset in ("utf-8-sig", "cp874"):
        try:
            return content.decode(charset)
        except UnicodeDecodeError:
            continue
    raise BadBatch("the file is text of neither UTF-8 nor Windows-874; save it as CSV UTF-8")


def _cells(text: str) -> list[list[str]]:
    first = text.partition("\n")[0]
    between = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True))
    except csv.Error as error:
        raise BadBatch(f"it cannot be read as CSV: {error}") from None


def _row(
    number: int, names: Sequence[str], cells: Sequence[str], seen: dict[tuple[object, ...], int]
) -> BatchRow:
    try:
        if any(cell.strip() for cell in cells[len(names) :]):
            raise _Refused(RowFault.TOO_MANY_CELLS, found=len(cells), expected=len(names))
        said = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if name}
        row = _read(number, said)
        key = next(_keys(row), None)
        if key is None:
            raise _Refused(RowFault.NO_STUDY)
        if (earlier := seen.setdefault(key, number)) != number:
            raise _Refused(RowFault.TWICE, row=earlier)
    except _Refused as refused:
        return BatchRow(number, fault=refused.fault)
    return row


def _read(number: int, said: Mapping[str, str]) -> BatchRow:
    return BatchRow(
        number,
        study_uid=said.get("study_uid", ""),
        accession_number=said.get("accession_number", ""),
        hn=said.get("hn", ""),
        ct_date=_date("ct_date", said.get("ct_date", "")),
        answers=Answers(
            {each: _answer(each.value, said.get(each.value, "")) for each in Criterion},
            said.get("icd10", ""),
            _onset(said.get("onset_date", ""), said.get("onset_time", "")),
        ),
        citizen_id=said.get("citizen_id", ""),
        report=said.get("report_text", ""),
    )


def _keys(row: BatchRow) -> Iterator[tuple[object, ...]]:
    if row.study_uid:
        yield ("uid", row.study_uid)
    if row.accession_number:
        yield ("accession", row.accession_number)
    if row.hn and row.ct_date:
        yield ("hn", row.hn, row.ct_date)


def _answer(column: str, text: str) -> Answer:
    word = text.translate(_THAI_DIGITS).casefold()
    for answer, words in _ANSWERS.items():
        if word in words:
            return answer
    raise _Refused(RowFault.BAD_ANSWER, column=column, value=text[:40])


def _onset(day: str, clock: str) -> datetime | date | None:
    if not day:
        if clock:
            raise _Refused(RowFault.TIME_WITHOUT_DATE)
        return None
    found = _date("onset_date", day)
    assert found is not None
    if not clock:
        return found
    digits = clock.translate(_THAI_DIGITS).replace(".", ":")
    if ":" not in digits and len(digits) in (3, 4):
        digits = f"{digits[:-2]}:{digits[-2:]}"
    try:
        at = datetime.strptime(digits[:5].rstrip(":"), "%H:%M").time()
    except ValueError:
        raise _Refused(RowFault.BAD_TIME, value=clock[:20]) from None
    return datetime.combine(found, at, THAILAND)


def _date(column: str, text: str) -> date | None:
    """A day written 2026-11-22, 22/11/2026 or 22-11-2569, or None for nothing."""
    if not text:
        return None
    parts = text.translate(_THAI_DIGITS).replace("/", "-").replace(".", "-").split("-")
    try:
        numbers = [int(part) for part in parts]
        first, month, last = numbers
        year, day = (first, last) if len(parts[0]) == 4 else (last, first)
        if year >= BUDDHIST_FROM:
            year -= BUDDHIST_ERA
        if year < 1900:
            raise ValueError(year)
        return date(year, month, day)
    except ValueError:
        raise _Refused(RowFault.BAD_DATE, column=column, value=text[:20]) from None
