"""Callers: who may send, by address or by certificate, and the list that the listener reads."""

import json
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from pacs_gateway.callers import Callers
from service.callers import (
    add_caller,
    list_callers,
    map_certificate,
    remove_caller,
    unmap_certificate,
    write_callers,
)
from service.errors import AlreadyExists, BadRequest, NotFound
from tests.service.factories import UDON

PRINT = "ab" * 32


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
            "callers": [{"ae": "UDON_CT1", "addresses": ["10.8.0.0/16"], "certificates": [], "hcode": UDON}],
            "learn": True,
        }
        assert Callers(tmp_path / "callers.json") is not None

    def test_nothing_but_the_file_is_left(self, session: Session, tmp_path: Path) -> None:
        write_callers(session, tmp_path / "callers.json")
        write_callers(session, tmp_path / "callers.json")
        assert [path.name for path in tmp_path.glob("*caller*")] == ["callers.json"]


class TestCertificates:
    def test_a_fingerprint_may_be_written_as_openssl_prints_it(self, session: Session) -> None:
        caller = add_caller(session, "CT1", UDON, [], certificates=[":".join(["AB"] * 32)])
        assert caller.certificates == [PRINT]

    @pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "ab" * 33])
    def test_a_fingerprint_that_is_none_is_refused(self, session: Session, text: str) -> None:
        with pytest.raises(BadRequest, match="fingerprint"):
            add_caller(session, "CT1", UDON, [], certificates=[text])

    def test_mapping_adds_a_caller_or_a_certificate_and_twice_changes_nothing(self, session: Session) -> None:
        for fingerprint in (PRINT, "cd" * 32, PRINT):
            caller = map_certificate(session, "CT1", UDON, fingerprint)
        assert caller.certificates == [PRINT, "cd" * 32]
        assert len(list_callers(session)) == 1

    def test_a_caller_that_loses_its_only_certificate_is_not_let_in_from_anywhere(
        self, session: Session
    ) -> None:
        map_certificate(session, "CT1", UDON, PRINT)
        add_caller(session, "CT2", UDON, ["10.8.0.0/16"], certificates=[PRINT])
        assert unmap_certificate(session, PRINT) == 2
        assert [(each.ae_title, each.certificates) for each in list_callers(session)] == [("CT2", [])]
