"""Searching the audit: by person, patient (also one among many in a list), hospital, kind and time."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from service import audit
from service.accounts import Role, add_account
from service.audit_search import MOST_STUDIES, Wanted, search_audit, studies_of_hn
from service.db import now
from service.errors import BadRequest, NotFound
from tests.service.factories import HN, LOEI, UDON, registered


@pytest.fixture(autouse=True)
def entries(session: Session) -> None:
    """Two hospitals' patients with one HN; looks at one, at a list of both, at neither."""
    add_account(session, "udon", Role.RADIOLOGIST, hcode=UDON)
    add_account(session, "loei", Role.RADIOLOGIST, hcode=LOEI)
    mine, other = registered(session, "1.1"), registered(session, "1.2", hcode=LOEI)
    assert (mine.id, other.id) == (1, 2)
    start = now()
    audit.record(session, "udon", "study.read", study_id=1)
    audit.record(session, "loei", "worklist.read", detail={"studies": [2, 11]})
    audit.record(session, "admin", "worklist.read", detail={"studies": [11, 1, 2]})
    audit.record(session, "admin", "clock.read", detail={"studies": 1, "hospital": LOEI})
    audit.record(session, "admin", "referral.read", study_id=2, detail={"referral": 1})
    assert now() >= start


def found(session: Session, **wanted: object) -> list[str]:
    entries = search_audit(session, Wanted(**wanted))  # type: ignore[arg-type]
    return [
        f"{each.actor} {each.action}" for each in reversed(entries) if not each.action.startswith("stud")
    ] + [each.action for each in entries if each.action == "study.read"]


def test_a_patient_is_found_where_they_were_one_of_many(session: Session) -> None:
    studies = studies_of_hn(session, HN, UDON)
    assert studies == {1}
    assert found(session, studies=studies) == ["admin worklist.read", "study.read"]
    both = studies_of_hn(session, HN, "")
    assert found(session, studies=both) == [
        "loei worklist.read",
        "admin worklist.read",
        "admin referral.read",
        "study.read",
    ]
    assert search_audit(session, Wanted(studies=studies_of_hn(session, "nobody", ""))) == []


def test_by_person_kind_time_and_page(session: Session) -> None:
    assert found(session, actor="admin", family="worklist") == ["admin worklist.read"]
    assert found(session, actor="admin", family="work") == []
    assert found(session, since=now() + timedelta(seconds=1)) == []
    assert found(session, until=now() - timedelta(hours=1)) == []
    newest = search_audit(session, Wanted(), limit=1)
    following = search_audit(session, Wanted(), before=newest[0].id, limit=1)
    assert following[0].id == newest[0].id - 1


def test_a_hospital_is_that_of_the_patient_of_who_acted_or_named(session: Session) -> None:
    assert found(session, hcode=LOEI, since=None) == [
        "loei worklist.read",
        "admin clock.read",
        "admin referral.read",
    ]
    with pytest.raises(NotFound):
        search_audit(session, Wanted(hcode="99999"))


def test_a_number_that_everybody_has_is_nobodys(session: Session) -> None:
    for n in range(MOST_STUDIES):
        registered(session, f"2.{n}")
    with pytest.raises(BadRequest, match="choose the hospital"):
        studies_of_hn(session, HN, "")
