"""A spreadsheet of answers: what Thai hospitals write is read, and every other row has its reason."""

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.answers import Answer, Criterion
from labeling.batch import COLUMNS, MOST_ROWS, BadBatch, RowFault, read_batch, template

THAI = timezone(timedelta(hours=7))


def rows(*lines: str, header: str = "study_uid,adult,onset_date,onset_time,ct_date,hn") -> bytes:
    return "\r\n".join([header, *lines]).encode()


def test_a_row_is_read_with_thai_dates_digits_and_words() -> None:
    [row] = read_batch(rows("1.2.3,ใช่,๒๒/๑๑/๒๕๖๙,14.30,2569-11-23,"))
    assert row.fault is None
    assert row.answers.said[Criterion.ADULT] is Answer.YES
    assert row.answers.said[Criterion.DEFICIT] is Answer.UNKNOWN
    assert row.answers.onset == datetime(2026, 11, 22, 14, 30, tzinfo=THAI)
    assert row.ct_date == date(2026, 11, 23)


@pytest.mark.parametrize("day", ["2026-11-22", "22/11/2026", "22-11-2569", "22.11.2569", "2569/11/22"])
def test_every_way_of_writing_a_day_is_the_same_day(day: str) -> None:
    [row] = read_batch(rows(f"1.2,,{day},,,"))
    assert row.answers.onset == date(2026, 11, 22)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("1.2,perhaps,,,,", RowFault.BAD_ANSWER, "adult: 'perhaps'"),
        ("1.2,,31/02/2569,,,", RowFault.BAD_DATE, "onset_date: '31/02/2569'"),
        ("1.2,,11/22/26,,,", RowFault.BAD_DATE, "'11/22/26'"),
        ("1.2,,2026-11-22,25:00,,", RowFault.BAD_TIME, "'25:00'"),
        ("1.2,,,14:30,,", RowFault.TIME_WITHOUT_DATE, "without onset_date"),
        (",yes,,,,", RowFault.NO_STUDY, "names no study"),
        (",yes,,,,123", RowFault.NO_STUDY, "hn with ct_date"),
        ("1.2,yes,,,,,more", RowFault.TOO_MANY_CELLS, "7 cells, the header has 6"),
        ("1.1,yes,,,,", RowFault.TWICE, "as row 2"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why_and_stops_no_other(line: str, code: RowFault, said: str) -> None:
    first, bad, last = read_batch(rows("1.1,yes,,,,", line, "1.3,no,,,,"))
    assert (first.fault, last.fault, last.number) == (None, None, 4)
    assert bad.fault is not None
    assert bad.fault.code == code
    assert said in bad.fault.text.en


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must name columns"),
        (b"study_uid,colour\n1,2", "'colour' is unknown"),
        (b"hn,hn\n1,2", "there twice"),
        (b"study_uid\n\n \n", "no row"),
        (b'study_uid\n"1.2', "cannot be read as CSV"),
        (b"study_uid\n" + b"1\n" * (MOST_ROWS + 1), "5001 rows"),
        (b"study_uid\n\xff\xfe\x80\xdb\xdc", "neither UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BadBatch, match=said):
        read_batch(content)


@pytest.mark.parametrize("charset", ["utf-8-sig", "cp874"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_whatever_a_spreadsheet_writes_is_read(charset: str, between: str) -> None:
    text = f"study_uid{between}adult\n1.2{between}ไม่ใช่\n"
    [row] = read_batch(text.encode(charset))
    assert row.answers.said[Criterion.ADULT] is Answer.NO


def test_the_template_names_every_column() -> None:
    [row] = read_batch(template().encode() + b"1.2.3" + b"," * (len(COLUMNS) - 1))
    assert (row.study_uid, row.fault) == ("1.2.3", None)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else(content: bytes) -> None:
    try:
        found = read_batch(b"study_uid,adult\n" + content)
    except BadBatch:
        return
    assert all(row.fault or row.study_uid for row in found)
