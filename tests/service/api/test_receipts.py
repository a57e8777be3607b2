"""Receipts: a hospital sees what its own machines sent, as JSON and as a table."""

import csv
import io

import pytest
from fastapi import FastAPI

from pacs_gateway.arrivals import Ending
from service.accounts import Role
from service.spreadsheets import harmless
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, sender

RECEIPTS = "/api/v1/receipts"


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


@pytest.mark.parametrize(("cell", "written"), [("=1+1", "'=1+1"), ("-x", "'-x"), ("CT1", "CT1"), (3, 3)])
def test_no_cell_is_a_formula(cell: object, written: object) -> None:
    assert harmless(cell) == written
