"""Who is to read a case blind sees nothing of its study by another way, unless care needs it."""

import pytest
from sqlalchemy import Engine, select

from labeling.assignment import Design, Reader
from labeling.splits import Shares
from service import audit
from service.accounts import Role, add_account
from service.assignments import Assignment, assign_cases
from service.case_states import CaseState
from service.cases import Case, admit_case
from service.db import session_scope
from service.reads import save_label
from tests.service.factories import HN, UDON, analysed
from tests.service.labelling import GOOD, IMAGES, KEY, ML, NORMAL, TECHNICIAN, admitted, entered, reader
from tests.service.web.conftest import Enter, Person

pytestmark = pytest.mark.one_database  # one condition, the same on both

UID = "1.2.3"
PAGE = f"/studies/{UID}"
ME = f"radiologist-{UDON}"


def given(engine: Engine, *, others: tuple[str, ...] = ("other",)) -> None:
    """An analysed study is a case that the reader of the tests, and perhaps others, have still to read."""
    with session_scope(engine) as session:
        case = admit_case(session, TECHNICIAN, UID, GOOD, KEY)
        case.state = CaseState.ELIGIBLE
        for name in others:
            add_account(session, name, Role.RADIOLOGIST)
        readers = [Reader(name) for name in (ME, *others)]
        assign_cases(session, ML, readers, Design(1, 1, 0, 0), Shares(test=0, calibration=0))


@pytest.fixture
def someone(enter: Enter, engine: Engine) -> Person:
    with session_scope(engine) as session:
        analysed(session, UID)
    return enter(Role.RADIOLOGIST, UDON)


def actions(engine: Engine) -> list[str]:
    with session_scope(engine, write=False) as session:
        return [each.action for each in audit.search(session, actor=ME)]


def test_nothing_of_the_study_is_shown_until_it_is_read(someone: Person, engine: Engine) -> None:
    assert someone.get(PAGE).status_code == 200
    assert PAGE in someone.get("/").text
    given(engine)
    page = someone.get(PAGE)
    assert page.status_code == 409
    assert "/label" in page.text
    assert HN not in page.text
    assert "case.blind" in actions(engine)
    assert PAGE not in someone.get("/").text
    for path in ("", "/result", "/key-slices/1.webp", "/timeline"):
        answer = someone.client.get(f"/api/v1/studies/{UID}{path}", headers={"Accept": "application/json"})
        assert answer.status_code == 409, path
    assert someone.client.get("/api/v1/studies").json()["studies"] == []
    assert someone.client.get("/dicomweb/studies", headers={"Accept": "application/dicom+json"}).text in (
        "",
        "[]",
    )
    instance = "series/1.2.3.1/instances/1.2.3.1.1"
    for path in ("metadata", instance, f"{instance}/frames/1"):
        assert someone.client.get(f"/dicomweb/studies/{UID}/{path}").status_code == 409, path
    with session_scope(engine) as session:
        turn = session.scalars(select(Assignment).where(Assignment.reader == ME)).one()
        save_label(session, reader(ME), turn.id, entered(NORMAL), IMAGES)
    assert someone.get(PAGE).status_code == 200


def test_care_goes_before_the_study_and_the_read_goes_to_another(someone: Person, engine: Engine) -> None:
    with session_scope(engine) as session:
        case = admit_case(session, TECHNICIAN, UID, GOOD, KEY)
        case.state = CaseState.ELIGIBLE
        admitted(session, 1)
        add_account(session, "other", Role.RADIOLOGIST)
        readers = [Reader(ME), Reader("other")]
        assign_cases(session, ML, readers, Design(0, 1, 0, 0), Shares(test=0, calibration=0))
        for row in session.scalars(select(Assignment)):
            row.reader = ME if row.case_id == case.id else "other"
    assert someone.get(PAGE).status_code == 409
    assert someone.post(f"{PAGE}/unblind", {}, page=PAGE).status_code == 303
    assert someone.get(PAGE).status_code == 200
    assert "case.unblind" in actions(engine)
    with session_scope(engine, write=False) as session:
        assert set(session.scalars(select(Assignment.reader))) == {"other"}
    assert someone.post(f"{PAGE}/unblind", {}).status_code == 404


def test_a_common_read_that_is_given_up_falls_away_and_the_case_goes_on(
    someone: Person, engine: Engine
) -> None:
    given(engine)
    with session_scope(engine) as session:
        turn = session.scalars(select(Assignment).where(Assignment.reader == "other")).one()
        save_label(session, reader("other"), turn.id, entered(NORMAL), IMAGES)
    assert someone.post(f"{PAGE}/unblind", {}, page=PAGE).status_code == 303
    with session_scope(engine, write=False) as session:
        assert session.scalars(select(Case.state)).one() is CaseState.AGREED
