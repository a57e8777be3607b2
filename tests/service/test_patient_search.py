"""Search for people: by HN from its beginning, by any part of a name in any group, always by an index."""

from datetime import date

import pytest
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from pacs_gateway.searching import read_search
from service.accounts import OPERATOR, Role, Viewer
from service.db import session_scope
from service.imaging_search import search_studies
from service.patient_search import find_patients, other_studies
from service.studies import Study
from tests.service.crowd import crowd
from tests.service.factories import HN, LOEI, UDON, arrived, instance, registered
from tests.service.test_worklist import explained

AT_LOEI = Viewer("t", Role.TECHNICIAN, LOEI)
PEOPLE = {
    "1": ("นางสาวสมหญิง^ใจดี", "0012345", UDON),
    "2": ("SOMYING^JAIDEE=สมหญิง^ใจดี", "0099", LOEI),
    "3": ("มี^ดี", "12-0034", UDON),
    "4": ('O"BRIEN_50%^Ann', "A77", UDON),
    "5": ("", "", None),
}


@pytest.fixture
def people(session: Session) -> Session:
    for uid, (name, number, hcode) in PEOPLE.items():
        registered(session, uid, patient_name=name, patient_id=number, hcode=hcode)
    return session


def uids(session: Session, viewer: Viewer, text: str, *, limit: int = 50) -> str:
    return "".join(each.study_instance_uid for each in find_patients(session, viewer, text, limit=limit))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("สมหญิง", "21"),
        ("สมห", "21"),
        ("ใจดี สมหญิง", "21"),
        ("สมหญิง^ใจดี", "21"),
        ("somying", "2"),
        ("JaiDee som", "2"),
        ("มี", "3"),
        ("มี ดี", "3"),
        ("ดี", "3"),
        ("สมหญิง ด", "21"),
        ("ม ด", ""),
        ("ะะ", ""),
        ("00", "12"),
        ("0012", "1"),
        ("12-", "3"),
        ("2345", ""),
        ('o"brien_50%', "4"),
        ("brien_5_", ""),
        ("%%%", ""),
        ("AND", ""),
        ("\\\\\\", ""),
    ],
)
def test_who_is_found(people: Session, text: str, expected: str) -> None:
    assert uids(people, OPERATOR, text) == expected


def test_nobody_of_another_hospital(people: Session) -> None:
    assert uids(people, AT_LOEI, "สมหญิง") == "2"
    assert uids(people, AT_LOEI, "00") == "2"
    assert uids(people, Viewer("t", Role.TECHNICIAN, "99999"), "สมหญิง") == ""
    assert uids(people, Viewer("t", Role.TECHNICIAN, None), "สมหญิง") == ""


def test_the_newest_come_first_and_no_more_than_asked_for(people: Session) -> None:
    assert uids(people, OPERATOR, "สมหญิง", limit=1) == "2"


def test_a_name_that_arrives_late_or_goes_is_followed(people: Session) -> None:
    study = arrived(
        "5", hcode=LOEI, patient_name="ทองดี^มาก", instances=[instance(n, content="b") for n in range(4)]
    )
    registered_again = registered(people, "5", hcode=LOEI, patient_name=study.identity.patient_name,
                                  instances=study.instances)  # fmt: skip
    assert uids(people, AT_LOEI, "ทองดี") == "5"
    people.execute(delete(Study).where(Study.id == registered_again.id + 1))
    people.get_one(Study, registered_again.id).patient_name = "บุญมี^มาก"
    people.flush()
    assert uids(people, AT_LOEI, "ทองดี") == ""
    assert uids(people, AT_LOEI, "บุญมี") == "5"


class TestOtherStudies:
    def test_the_number_tells_in_one_hospital_and_the_person_elsewhere(self, session: Session) -> None:
        for uid, hcode in (("1", UDON), ("2", UDON), ("3", LOEI)):
            registered(session, uid, hcode=hcode)
        registered(session, "4", hcode=LOEI, birth_date=date(1958, 4, 2))
        registered(session, "5", patient_name="another", patient_id=HN)
        study = session.scalars(select(Study).where(Study.study_instance_uid == "1")).one()
        found = [each.study_instance_uid for each in other_studies(session, OPERATOR, study)]
        assert found == ["5", "3", "2"]
        assert [each.study_instance_uid for each in other_studies(session, AT_LOEI, study)] == ["3"]


@pytest.fixture
def crowded(engine: Engine) -> Engine:
    crowd(engine, 2000)
    return engine


@pytest.mark.one_database  # PostgreSQL plans by its statistics
@pytest.mark.parametrize("viewer", [OPERATOR, Viewer("t", Role.TECHNICIAN, UDON)], ids=["region", "hospital"])
@pytest.mark.parametrize("analyzed", [False, True])
def test_every_search_reads_an_index(crowded: Engine, viewer: Viewer, analyzed: bool) -> None:
    with session_scope(crowded) as session:
        if analyzed:
            session.connection().exec_driver_sql("ANALYZE")
        study = session.scalars(select(Study).where(Study.hcode == UDON).limit(1)).one()
        study.birth_date = date(1958, 4, 1)
        with explained(crowded) as plans:
            found = find_patients(session, viewer, "ตัวอย่าง")
            find_patients(session, viewer, "00012")
            assert "USE TEMP B-TREE FOR ORDER BY" not in plans
            other_studies(session, viewer, study)
        session.rollback()
    assert len(found) == 50
    assert any(step.startswith("SCAN patient_names VIRTUAL TABLE") for step in plans)
    for step in plans:
        assert not step.startswith("SCAN") or step.startswith("SCAN patient_names VIRTUAL TABLE"), step


@pytest.mark.one_database  # PostgreSQL plans by its statistics
def test_a_dicom_search_by_name_reads_the_index_too(crowded: Engine) -> None:
    with session_scope(crowded, write=False) as session:
        with explained(crowded) as plans:
            found = search_studies(
                session, OPERATOR, read_search([("PatientName", "ตัวอย่าง*"), ("limit", "5")])
            )
            unread = len(plans)
            search_studies(session, OPERATOR, read_search([("AccessionNumber", "A1")]))
            assert any("ix_studies_accession_number" in step for step in plans[unread:])
        session.rollback()
    assert len(found.studies) == 5
    assert sum(step.startswith("SCAN patient_names VIRTUAL TABLE") for step in plans) >= 1


@pytest.mark.parametrize(
    ("text", "expected"), [("*ญิง*", "21"), ("somying^*", "2"), ("ใจดี", ""), ("มี^ดี", "3")]
)
def test_a_dicom_search_finds_what_its_pattern_says(people: Session, text: str, expected: str) -> None:
    page = search_studies(people, OPERATOR, read_search([("PatientName", text)]))
    assert "".join(each.study.study_instance_uid for each in page.studies) == expected
