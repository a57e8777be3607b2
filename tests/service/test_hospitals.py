"""Hospitals and callers: the region as published, and the list that the listener reads."""

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pacs_gateway.callers import Callers
from service.errors import AlreadyExists, BadRequest, NotFound
from service.hospitals import (
    Hospital,
    add_caller,
    find_hospital,
    list_callers,
    list_hospitals,
    remove_caller,
    seed_hospitals,
    write_callers,
)
from tests.service.factories import UDON


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


class TestAddCaller:
    def test_addresses_become_networks(self, session: Session) -> None:
        caller = add_caller(session, " UDON_CT1 ", UDON, ["10.8.1.5/16", "192.168.1.9"])
        assert caller.ae_title == "UDON_CT1"
        assert caller.addresses == ["10.8.0.0/16", "192.168.1.9/32"]

    def test_the_same_again_is_refused(self, session: Session) -> None:
        add_caller(session, "UDON_CT1", UDON, [])
        with pytest.raises(AlreadyExists, match="UDON_CT1"):
            add_caller(session, "UDON_CT1", UDON, [])

    def test_an_unknown_hospital_is_refused(self, session: Session) -> None:
        with pytest.raises(NotFound, match="99999"):
            add_caller(session, "CT1", "99999", [])

    @pytest.mark.parametrize("title", ["", " ", "SEVENTEEN_LETTERS", "A\\B", "ซีที"])
    def test_a_title_that_is_none_is_refused(self, session: Session, title: str) -> None:
        with pytest.raises(BadRequest, match="1 to 16"):
            add_caller(session, title, UDON, [])

    def test_an_address_that_is_none_is_refused(self, session: Session) -> None:
        with pytest.raises(BadRequest, match="hospital-pacs"):
            add_caller(session, "CT1", UDON, ["hospital-pacs"])


class TestRemoveCaller:
    def test_it_is_gone(self, session: Session) -> None:
        add_caller(session, "CT1", UDON, [])
        remove_caller(session, "CT1", UDON)
        assert list_callers(session) == []

    def test_one_that_is_not_listed_is_named(self, session: Session) -> None:
        with pytest.raises(NotFound, match="CT1"):
            remove_caller(session, "CT1", UDON)


class TestWriteCallers:
    def test_the_gateway_reads_what_was_written(self, session: Session, tmp_path: Path) -> None:
        add_caller(session, "UDON_CT1", UDON, ["10.8.0.0/16"])
        write_callers(session, tmp_path / "callers.json", learn=True)
        assert json.loads((tmp_path / "callers.json").read_text()) == {
            "callers": [{"ae": "UDON_CT1", "addresses": ["10.8.0.0/16"], "hcode": UDON}],
            "learn": True,
        }
        assert Callers(tmp_path / "callers.json") is not None

    def test_nothing_but_the_file_is_left(self, session: Session, tmp_path: Path) -> None:
        write_callers(session, tmp_path / "callers.json")
        write_callers(session, tmp_path / "callers.json")
        assert [path.name for path in tmp_path.glob("*caller*")] == ["callers.json"]
