"""Receipts: a hospital sees what its own machines sent, as JSON and as a table."""

import csv
import io
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pacs_gateway.arrivals import Ending
from pacs_gateway.offers import OfferedContext
from service.accounts import Role
from service.spreadsheets import harmless
from tests.pacs import write_slice
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, sender

pytestmark = pytest.mark.one_database  # receipts are counted from the inbox's files

RECEIPTS = "/api/v1/receipts"
SYNTAX = "1.2.840.10008.1.2.1"
CONTEXT = OfferedContext("1.2.840.10008.5.1.4.1.1.2", (SYNTAX,), SYNTAX)
REJECTED = OfferedContext("1.2.840.10008.5.1.4.31", (SYNTAX,), "")


@pytest.fixture
def calls(app: FastAPI) -> None:
    inbox = app.state.inbox()
    for hcode in (UDON, LOEI, None):
        association = inbox.open_association(sender(hcode))
        inbox.close_association(association, Ending.RELEASED)


@pytest.mark.usefixtures("calls")
class TestReceipts:
    @pytest.mark.parametrize(
        ("role", "hcode", "seen"),
        [
            (Role.VENDOR, UDON, [UDON]),
            (Role.TECHNICIAN, LOEI, [LOEI]),
            (Role.ADMIN, None, [None, LOEI, UDON]),
        ],
    )
    def test_only_the_own_hospital(
        self, signed_in: SignIn, role: Role, hcode: str | None, seen: list[str | None]
    ) -> None:
        found = signed_in(role, hcode).get(RECEIPTS).json()["receipts"]
        assert [each["hospital"] for each in found] == seen
        assert {each["ending"] for each in found} == {"released"}

    def test_the_table_holds_the_same(self, signed_in: SignIn) -> None:
        answer = signed_in(Role.VENDOR).get(f"{RECEIPTS}.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert (row["calling_ae"], row["hospital"], row["offered"]) == ("UDON_CT1", UDON, "0")

    def test_since_and_limit_narrow(self, signed_in: SignIn) -> None:
        client = signed_in(Role.ADMIN, None)
        assert len(client.get(RECEIPTS, params={"limit": 2}).json()["receipts"]) == 2
        found = client.get(RECEIPTS, params={"since": "2100-01-01T00:00:00Z"}).json()["receipts"]
        assert found == []

    def test_hospital_sender_and_day_narrow_and_never_widen(self, signed_in: SignIn) -> None:
        everything, vendor = signed_in(Role.ADMIN, None), signed_in(Role.VENDOR, UDON)

        def seen(client: TestClient, **query: str) -> list[str]:
            return [each["hospital"] for each in client.get(RECEIPTS, params=query).json()["receipts"]]

        today = datetime.now(timezone(timedelta(hours=7))).date()
        assert seen(everything, hospital=LOEI) == [LOEI]
        assert seen(everything, sender="NOBODY") == []
        assert seen(vendor, sender="UDON_CT1") == [UDON]
        assert seen(vendor, hospital=LOEI) == []
        assert seen(vendor, day=today.isoformat()) == [UDON]
        assert seen(vendor, day=(today - timedelta(days=1)).isoformat()) == []


class TestVerdict:
    @pytest.fixture
    def sent(self, app: FastAPI, tmp_path: Path) -> None:
        """A whole study, and one without slices 11 and 12."""
        inbox = app.state.inbox()
        for study, gone in (("1.2.7.1", ()), ("1.2.7.2", (11, 12))):
            association = inbox.open_association(sender(UDON), (CONTEXT, REJECTED))
            for number in set(range(1, 31)) - set(gone):
                path = write_slice(tmp_path / study, study=study, number=number)
                inbox.add_part10(path, sender(UDON), association_id=association)
            inbox.close_association(association, Ending.RELEASED)

    @pytest.mark.usefixtures("sent")
    def test_each_receipt_says_whether_its_study_came_whole(self, signed_in: SignIn) -> None:
        answer = signed_in(Role.VENDOR).get(RECEIPTS)
        broken, whole = answer.json()["receipts"]
        assert (whole["complete"], whole["verdict"]) == (True, "covered")
        assert whole["verdict_text"] == "complete, because 30 slices 5.00 mm apart cover 150 mm"
        assert (broken["complete"], broken["missing"]) == (False, ["11-12"])
        assert broken["verdict_text"] == "slices 11-12 missing"
        assert whole["contexts_offered"] == 2
        assert [each["abstract_syntax"] for each in whole["contexts_rejected"]] == [REJECTED.abstract_syntax]
        assert "Simulated" not in answer.text
        assert "HN1" not in answer.text

    @pytest.mark.usefixtures("sent")
    def test_the_table_says_the_same(self, signed_in: SignIn) -> None:
        answer = signed_in(Role.VENDOR).get(f"{RECEIPTS}.csv", params={"study": "1.2.7.2"})
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert (row["verdict"], row["missing"], row["stored"]) == ("missing", "11-12", "28")


@pytest.mark.parametrize(("cell", "written"), [("=1+1", "'=1+1"), ("-x", "'-x"), ("CT1", "CT1"), (3, 3)])
def test_no_cell_is_a_formula(cell: object, written: object) -> None:
    assert harmless(cell) == written
