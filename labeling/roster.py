"""The roster as published: contiguous ranges of cases by reader, and what is wrong with it in words."""

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from labeling.assignment import Purpose, Turn
from labeling.wording import Both

COLUMNS = ("reader", "hcode", "case_from", "case_to")


class BadRoster(ValueError):
    """A row of a roster cannot be used; the text names line and value."""


@dataclass(frozen=True, slots=True)
class Span:
    """One row: the cases that one reader was given, first and last included."""

    reader: str
    hcode: str
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def read_roster(path: Path) -> list[Span]:
    """Read a roster.

    Raises:
        BadRoster: a column is missing, a number is none, or a range runs backwards.
        OSError: there is no file.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if absent := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
            raise BadRoster(f"{path.name} has no column {', '.join(absent)}; it needs {', '.join(COLUMNS)}")
        return [_span(row, number) for number, row in enumerate(rows, start=2)]


def contiguous_ranges(readers: Sequence[tuple[str, str]], num_cases: int) -> list[Span]:
    """Ranges in the order of the readers, as even as they can be; the last readers get the extra cases.

    Args:
        readers: Name and hospital of each.
        num_cases: Cases from 1 on.

    Raises:
        ValueError: no readers, or fewer cases than readers.
    """
    if not 0 < len(readers) <= num_cases:
        raise ValueError(f"{num_cases} cases cannot be parted among {len(readers)} readers")
    least, extra = divmod(num_cases, len(readers))
    spans, first = [], 1
    for index, (reader, hcode) in enumerate(readers):
        size = least + (index >= len(readers) - extra)
        spans.append(Span(reader, hcode, first, first + size - 1))
        first += size
    return spans


def turns_of(spans: Sequence[Span], numbers: Collection[int]) -> list[Turn]:
    """The reads that a roster asks for, flaws and all: who holds a range reads its cases in their order.

    Args:
        spans: The roster.
        numbers: Of the cases that are there to be read; others in a range are read by nobody.

    Returns:
        By reader and place; a case in the ranges of several is read by each.
    """
    lists: dict[str, dict[int, None]] = defaultdict(dict)
    for span in spans:
        lists[span.reader].update(
            dict.fromkeys(number for number in sorted(numbers) if span.first <= number <= span.last)
        )
    readers = Counter(number for own in lists.values() for number in own)
    return [
        Turn(reader, place, str(number), 1, Purpose.DOUBLE if readers[number] > 1 else Purpose.SINGLE)
        for reader, own in lists.items()
        for place, number in enumerate(own)
    ]


def flaws(spans: Sequence[Span]) -> list[Both]:
    """What is wrong with a roster, each flaw in words: of its rows first, then of the design itself."""
    if not spans:
        return [Both("บัญชีรายชื่อว่างเปล่า", "The roster is empty.")]
    return [
        *_doubled(spans),
        *_missing(spans),
        *_repeated(spans),
        *_unnamed(spans),
        *_uneven(spans),
        *_design(spans),
    ]


def _doubled(spans: Sequence[Span]) -> Iterator[Both]:
    given = _readers_by_case(spans)
    for case, readers in sorted(given.items()):
        if len(readers) > 1:
            names = ", ".join(readers)
            yield Both(
                f"กรณีที่ {case} มอบให้ผู้อ่านมากกว่าหนึ่งคน: {names}",
                f"Case {case} is given to more than one reader: {names}.",
            )


def _missing(spans: Sequence[Span]) -> Iterator[Both]:
    given = _readers_by_case(spans)
    absent = [case for case in range(min(given), max(given)) if case not in given]
    if absent:
        listed = ", ".join(map(str, absent[:20])) + (" ..." if len(absent) > 20 else "")
        yield Both(f"ไม่มีผู้อ่านสำหรับกรณีที่ {listed}", f"Nobody reads {len(absent)} cases: {listed}.")


def _repeated(spans: Sequence[Span]) -> Iterator[Both]:
    held: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        held[span.reader].append(span)
    for reader, own in held.items():
        if len(own) > 1:
            ranges, total = " and ".join(map(str, own)), sum(map(len, own))
            yield Both(
                f"ผู้อ่าน {reader} ถือ {len(own)} ช่วง ({ranges.replace(' and ', ' และ ')}) รวม {total} กรณี",
                f"Reader {reader} holds {len(own)} ranges, {ranges}: {total} cases.",
            )


def _unnamed(spans: Sequence[Span]) -> Iterator[Both]:
    """Numbers left out between R01 and the last: most often the true owner of a range held twice."""
    numbers = {int(span.reader[1:]) for span in spans if span.reader[:1] == "R" and span.reader[1:].isdigit()}
    absent = [f"R{number:02d}" for number in range(1, max(numbers, default=0)) if number not in numbers]
    if absent:
        names = ", ".join(absent)
        yield Both(f"ไม่มีผู้อ่าน {names} ในบัญชี", f"Reader {names} is missing from the roster.")


def _uneven(spans: Sequence[Span]) -> Iterator[Both]:
    usual, _ = Counter(map(len, spans)).most_common(1)[0]
    for span in spans:
        if len(span) != usual:
            last = span is spans[-1]
            yield Both(
                f"ช่วง{'สุดท้าย ' if last else ' '}{span} ({span.reader}) มี {len(span)} กรณี ช่วงอื่นมี {usual}",
                f"The {'last range' if last else 'range'} {span} ({span.reader}) has {len(span)} cases; "
                f"most have {usual}.",
            )


def _design(spans: Sequence[Span]) -> Iterator[Both]:
    given = _readers_by_case(spans)
    twice = sum(len(set(readers)) > 1 for readers in given.values())
    if twice < 2:
        yield Both(
            f"มี {twice} จาก {len(given)} กรณีที่อ่านมากกว่าหนึ่งครั้ง จึงวัดความสอดคล้องระหว่างผู้อ่านไม่ได้",
            f"{twice} of {len(given)} cases is read more than once, so agreement cannot be measured.",
        )
    if all(after.first > before.first for before, after in pairwise(spans)):
        yield Both(
            "ช่วงต่อเนื่องผูกผู้อ่านไว้กับโรงพยาบาลและช่วงเวลา ความผิดพลาดของผู้อ่านหนึ่งคนจะตกกับกรณีชุดเดียวกันทั้งหมด",
            "Contiguous ranges tie each reader to one stretch of hospitals and dates: one reader's bias "
            "falls on one block of cases and cannot be told from theirs.",
        )


def _readers_by_case(spans: Sequence[Span]) -> dict[int, list[str]]:
    given: dict[int, list[str]] = defaultdict(list)
    for span in spans:
        for case in range(span.first, span.last + 1):
            given[case].append(span.reader)
    return given


def _span(row: dict[str, str], number: int) -> Span:
    try:
        span = Span(row["reader"].strip(), row["hcode"].strip(), int(row["case_from"]), int(row["case_to"]))
    except (TypeError, ValueError, AttributeError) as error:
        raise BadRoster(f"line {number}: {error}") from None
    if not span.reader or not 1 <= span.first <= span.last <= 1_000_000:
        raise BadRoster(
            f"line {number}: {span.reader or 'nobody'} is given {span}; a range counts upwards from 1"
        )
    return span
