"""Hospitals: the region as published."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.errors import NotFound
from service.hospitals import Hospital, find_hospital, list_hospitals, seed_hospitals
from tests.service.factories import UDON

FIVE = st.from_regex(r"\d{5}", fullmatch=True)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_region_has_88_hospitals_in_7_provinces_with_25_scanners(session: Session) -> None:
    found = session.execute(
        select(
            func.count(), func.count(Hospital.province_en.distinct()), func.sum(Hospital.ct_scanners)
        ).select_from(Hospital)
    ).one()
    assert tuple(found) == (88, 7, 25)


def test_seeding_again_adds_nothing_and_keeps_what_was_edited(session: Session) -> None:
    find_hospital(session, UDON).pacs_vendor = "Another"
    session.flush()
    assert seed_hospitals(session) == 0
    session.expire_all()
    assert find_hospital(session, UDON).pacs_vendor == "Another"


def test_a_hospital_that_is_missing_is_added(session: Session) -> None:
    session.delete(find_hospital(session, UDON))
    session.flush()
    assert seed_hospitals(session) == 1
    assert find_hospital(session, UDON).name_th == "อุดรธานี"


def test_an_unknown_code_is_named(session: Session) -> None:
    with pytest.raises(NotFound, match="99999"):
        find_hospital(session, "99999")


def test_hospitals_are_listed_by_code(session: Session) -> None:
    codes = [each.hcode for each in list_hospitals(session)]
    assert codes == sorted(codes)


@QUICK
@given(
    st.from_regex(r"[A-Z]{2}[0-9]{7}", fullmatch=True) | st.from_regex(r"\d{5}", fullmatch=True) | st.text()
)
def test_only_five_digits_that_are_listed_are_a_hospital(session: Session, text: str) -> None:
    """Nine characters of Provider ID, Thai digits and whatever else are none, on every database."""
    try:
        found = find_hospital(session, text)
    except NotFound:
        assert text not in {each.hcode for each in list_hospitals(session)}
    else:
        assert (found.hcode, len(text), text.isascii()) == (text, 5, True)
