"""A study that another hospital shows: every door opens for looking, none for changing."""

from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role, Viewer
from service.announcements import announce_outcome
from service.db import session_scope
from service.grants import Because, grant_study
from service.ladders import Ladder
from service.sight import find_study
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, analysed

OWNER = Viewer("somchai", Role.RADIOLOGIST, UDON)


def test_every_door_shows_it_and_none_lets_change_it(engine: Engine, signed_in: SignIn) -> None:
    with session_scope(engine) as session:
        study = analysed(session)
        grant_study(session, study.id, LOEI, because=Because.REFERRAL, subject=5, actor=OWNER.username)
        number = study.id
    client = signed_in(Role.SPECIALIST, LOEI)
    for path in (
        "/api/v1/studies/1.2.3",
        "/api/v1/studies/1.2.3/result",
        "/dicomweb/studies?StudyInstanceUID=1.2.3",
    ):
        assert client.get(path).status_code == 200, path
    for path in ("ImagingStudy/1.2.3", "DiagnosticReport/1.2.3", f"Patient/p{number}"):
        assert client.get(f"/fhir/{path}").status_code == 200, path
    whole = client.get(f"/fhir/Patient/p{number}/$everything").json()
    assert sum(each["resource"]["resourceType"] == "ImagingStudy" for each in whole["entry"]) == 1
    review = client.post("/api/v1/studies/1.2.3/review", json={"verdict": "agree"})
    assert review.status_code == 404


def test_the_patients_first_study_need_not_have_been_shown(engine: Engine, signed_in: SignIn) -> None:
    with session_scope(engine) as session:
        first = analysed(session).id
        second = analysed(session, "1.2.4")
        grant_study(session, second.id, LOEI, because=Because.REFERRAL, subject=5, actor=OWNER.username)
    client = signed_in(Role.SPECIALIST, LOEI)
    assert client.get(f"/fhir/Patient/p{first}").status_code == 200
    assert client.get(f"/fhir/Patient?_id=p{first}").json()["total"] == 1
    found = client.get(f"/fhir/ImagingStudy?patient=p{first}").json()
    assert [each["resource"]["id"] for each in found["entry"]] == ["1.2.4"]


def test_the_hub_hospital_opens_what_it_was_alerted_about(engine: Engine, signed_in: SignIn) -> None:
    doors = ("/api/v1/studies/1.2.3", "/api/v1/studies/1.2.3/result", "/fhir/ImagingStudy/1.2.3")
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SDH, hcode="11015")
        announce_outcome(session, find_study(session, "1.2.3", OPERATOR))
    client = signed_in(Role.SPECIALIST)
    assert {client.get(path).status_code for path in doors} == {404}
    Ladder(engine).climb()  # nobody is on call at the small hospital, so the hub is told at once
    assert {client.get(path).status_code for path in doors} == {200}
    assert client.post("/api/v1/studies/1.2.3/review", json={"verdict": "agree"}).status_code == 404
