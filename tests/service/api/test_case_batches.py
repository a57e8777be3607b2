"""A whole batch of answers by CSV: what can be taken is, a hundred bad rows have a hundred reasons."""

from datetime import date

import pytest
from sqlalchemy import Engine, func, select

from service.accounts import Role
from service.cases import Case
from service.db import session_scope
from service.reports import Report
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, registered

HEADER = (
    "study_uid,accession_number,hn,ct_date,adult,deficit,within_72_h,diagnostic,no_surgery,icd10,"
    "report_text,citizen_id"
)
YES = "yes,yes,yes,yes,yes,I63.9,No hemorrhage."
CSV = {"Content-Type": "text/csv"}


def counted(engine: Engine) -> tuple[int, int]:
    with session_scope(engine, write=False) as session:
        cases, reports = (session.scalar(select(func.count()).select_from(each)) for each in (Case, Report))
    assert cases is not None
    assert reports is not None
    return cases, reports


def batch(*lines: str) -> bytes:
    return "\r\n".join([HEADER, *lines]).encode()


@pytest.fixture
def studies(engine: Engine) -> None:
    with session_scope(engine) as session:
        registered(session, "1.2.1", hcode=UDON, patient_id="0001", study_date=date(2026, 11, 22))
        registered(session, "1.2.2", hcode=UDON, accession_number="A2", patient_id="0002")
        registered(session, "1.2.3", hcode=LOEI)
        for uid in ("1.2.4", "1.2.5"):
            registered(session, uid, hcode=UDON, patient_id="0004", study_date=date(2026, 11, 20))


@pytest.mark.usefixtures("studies")
def test_rows_are_taken_by_uid_accession_or_hn_and_day_and_the_rest_is_named(
    engine: Engine, signed_in: SignIn
) -> None:
    client = signed_in(Role.TECHNICIAN)
    sent = batch(
        f",,0001,22/11/2569,{YES},",
        f",A2,,,{YES},",
        f"1.2.3,,,,{YES},",
        f",,0004,20/11/2569,{YES},",
        f"1.2.4,,,,{YES},1101700230709",
        "1.2.5,,,,perhaps,,,,,,,",
    )
    checked = client.post("/api/v1/cases/batch?check=true", content=sent, headers=CSV).json()
    assert (checked["accepted"], checked["refused"], checked["kept"]) == (2, 4, False)
    assert counted(engine) == (0, 0)
    answer = client.post("/api/v1/cases/batch", content=sent, headers=CSV)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert [(row["row"], row["study"], row["state"]) for row in said["rows"][:2]] == [
        (2, "1.2.1", "eligible"),
        (3, "1.2.2", "eligible"),
    ]
    assert [row["code"] for row in said["rows"][2:]] == ["not_found", "refused", "refused", "bad_answer"]
    assert "several studies" in said["rows"][3]["en"]
    assert "0004" not in said["rows"][3]["en"]
    assert "1101700230709" not in answer.text
    assert "perhaps" in said["rows"][5]["th"]
    assert counted(engine) == (2, 2)
    again = client.post("/api/v1/cases/batch", content=sent, headers=CSV).json()
    assert [row["case"] for row in again["rows"]] == [row["case"] for row in said["rows"]]
    assert counted(engine) == (2, 2)  # the same text is not kept twice


def test_a_hundred_bad_rows_have_a_hundred_reasons(engine: Engine, signed_in: SignIn) -> None:
    lines = [f"9.9.{n},,,,{'what' if n % 2 else 'yes'},,,,,,," for n in range(100)]
    said = signed_in(Role.TECHNICIAN).post("/api/v1/cases/batch", content=batch(*lines), headers=CSV).json()
    assert (said["accepted"], said["refused"]) == (0, 100)
    assert all(row["th"] and row["en"] for row in said["rows"])
    assert [row["row"] for row in said["rows"]] == list(range(2, 102))
    assert {row["code"] for row in said["rows"]} == {"not_found", "bad_answer"}


@pytest.mark.one_database
def test_what_is_no_batch_is_refused_and_the_template_can_be_had(signed_in: SignIn) -> None:
    client = signed_in(Role.TECHNICIAN)
    answer = client.post("/api/v1/cases/batch", content=b"a,b\n1,2", headers=CSV)
    assert answer.status_code == 422
    assert "'a' is unknown" in answer.json()["detail"]
    assert client.post("/api/v1/cases/batch", content=b" " * 8_000_001, headers=CSV).status_code == 413
    assert client.get("/api/v1/cases/batch.csv").text.startswith("\ufeffstudy_uid,")
    assert signed_in(Role.ML, None).get("/api/v1/cases/batch.csv").status_code == 403
    nowhere = signed_in(Role.ADMIN, None).post("/api/v1/cases/batch", content=batch("1,,,"), headers=CSV)
    assert nowhere.status_code == 403
