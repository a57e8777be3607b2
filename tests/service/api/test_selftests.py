"""Self-tests over HTTP: a vendor sees the trials of its own hospital's machines."""

import csv
import io
from pathlib import Path

import pytest
from fastapi import FastAPI

from service.accounts import Role
from tests.pacs import write_slice
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, sender

pytestmark = pytest.mark.one_database  # runs are read from the inbox's files

SELFTESTS = "/api/v1/selftests"


@pytest.fixture
def trials(app: FastAPI, tmp_path: Path) -> dict[str, int]:
    """A trial of one slice by each of two hospitals; their numbers."""
    lane = app.state.trials()
    for at, hcode in enumerate((UDON, LOEI), start=1):
        lane.add_part10(write_slice(tmp_path / "in", study=f"1.2.9.{at}"), sender(hcode))
    return {trial.sender.hcode: trial.number for trial in lane.trials()}


def test_a_vendor_sees_its_own_hospital_and_nobody_a_patient(
    signed_in: SignIn, trials: dict[str, int]
) -> None:
    answer = signed_in(Role.VENDOR, UDON).get(SELFTESTS)
    [found] = answer.json()["selftests"]
    assert (found["hospital"], found["offered"], found["stored"]) == (UDON, 1, 1)
    assert {each["check"] for each in found["checks"]} >= {"caller", "charset", "geometry"}
    assert "Simulated" not in answer.text
    assert "HN1" not in answer.text
    assert len(signed_in(Role.ADMIN, None).get(SELFTESTS).json()["selftests"]) == 2


def test_another_hospitals_trial_is_not_found(signed_in: SignIn, trials: dict[str, int]) -> None:
    client = signed_in(Role.VENDOR, UDON)
    assert client.get(f"{SELFTESTS}/{trials[UDON]}").json()["number"] == trials[UDON]
    assert client.get(f"{SELFTESTS}/{trials[LOEI]}").status_code == 404


@pytest.mark.usefixtures("trials")
def test_the_table_has_a_line_for_each_check(signed_in: SignIn) -> None:
    answer = signed_in(Role.VENDOR, LOEI).get(f"{SELFTESTS}.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["hospital"] for row in rows} == {LOEI}
    assert all(row["en"] and row["th"] for row in rows)


@pytest.mark.usefixtures("trials")
def test_no_trial_is_a_study(app: FastAPI, signed_in: SignIn) -> None:
    assert signed_in(Role.ADMIN, None).get("/api/v1/studies").json()["studies"] == []
    assert app.state.inbox().receipts() == []


def test_stow_on_the_test_path_is_a_trial_and_no_study(
    app: FastAPI, signed_in: SignIn, tmp_path: Path
) -> None:
    client = signed_in(Role.VENDOR, UDON)
    body = write_slice(tmp_path, study="1.2.9.7").read_bytes()
    answer = client.post(
        "/dicomweb-test/studies", content=body, headers={"Content-Type": "application/dicom"}
    )
    assert answer.status_code == 200
    [found] = client.get(SELFTESTS).json()["selftests"]
    assert (found["study_instance_uid"], found["stored"], found["hospital"]) == ("1.2.9.7", 1, UDON)
    assert {each["check"] for each in found["checks"]}.isdisjoint({"tls", "contexts", "commitment"})
    assert app.state.inbox().receipts() == []
