"""Search parameters are read strictly, and any text is either read or refused."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadSyntax
from service.fhir.criteria import LONGEST_PAGE, SEARCHES, Days, Token, read_criteria


def test_a_token_has_a_system_or_none() -> None:
    read = read_criteria("Patient", [("identifier", "https://a/HN|0012,0013")])
    assert read.tokens["identifier"] == [Token("https://a/HN", "0012"), Token(None, "0013")]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2026", Days("eq", date(2026, 1, 1), date(2027, 1, 1))),
        ("ge2026-12", Days("ge", date(2026, 12, 1), date(2027, 1, 1))),
        ("lt2028-02-29", Days("lt", date(2028, 2, 29), date(2028, 3, 1))),
        ("sa2026-02", Days("gt", date(2026, 2, 1), date(2026, 3, 1))),
        ("2026-11-22T10:00:00+07:00", Days("eq", date(2026, 11, 22), date(2026, 11, 23))),
    ],
)
def test_a_date_is_a_stretch_of_days(text: str, days: Days) -> None:
    assert read_criteria("ImagingStudy", [("started", text)]).days["started"] == [days]


@pytest.mark.parametrize(
    ("pairs", "word"),
    [
        ([("colour", "red")], "colour"),
        ([("started", "22/11/2569")], "started"),
        ([("started", "2026-02-30")], "2026-02-30"),
        ([("status", "available"), ("status", "inactive")], "twice"),
        ([("status", "")], "empty"),
        ([("_count", "0")], "_count"),
        ([("_after", "x")], "_after"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(pairs: list[tuple[str, str]], word: str) -> None:
    with pytest.raises(BadSyntax, match=word):
        read_criteria("ImagingStudy", pairs)


def test_a_lenient_client_may_send_what_is_not_known() -> None:
    assert read_criteria("ImagingStudy", [("colour", "red")], lenient=True).tokens == {}


def test_a_page_is_never_longer_than_the_limit() -> None:
    assert read_criteria("Patient", [("_count", "5000")]).count == LONGEST_PAGE


@given(st.sampled_from(sorted(SEARCHES)), st.data(), st.text(max_size=30))
def test_any_value_is_read_or_refused(kind: str, data: st.DataObject, text: str) -> None:
    name = data.draw(st.sampled_from([*sorted(SEARCHES[kind]), "_count", "_after"]))
    try:
        count = read_criteria(kind, [(name, text)]).count
    except BadSyntax:
        count = 1
    assert 1 <= count <= LONGEST_PAGE
