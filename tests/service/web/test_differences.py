"""The lists of what people and the AI differ in: who sees them, what they show, and settling."""

import pytest
from sqlalchemy import Engine

from model.stroke import Refusal, StrokeType
from service.accounts import Role, Viewer
from service.db import session_scope
from service.reports import add_report
from service.reviews import review_finding
from service.studies import begin_analysis, mark_refused
from service.verdicts import Verdict
from tests.service.factories import HN, LOEI, UDON, analysed, registered
from tests.service.web.conftest import Enter

READER = Viewer("reader", Role.RADIOLOGIST, UDON)


@pytest.fixture(autouse=True)
def differences(engine: Engine) -> None:
    with session_scope(engine) as session:
        flagged = analysed(session, "1.1", StrokeType.SDH)
        review_finding(session, flagged, READER, Verdict.CORRECT, present=[], comment="a vein")
        add_report(session, flagged, READER, "No intracranial hemorrhage.")
        analysed(session, "1.2", hcode=LOEI)


def test_the_ml_team_settles_a_disagreement(enter: Enter) -> None:
    someone = enter(Role.ML, None)
    page = someone.get("/disagreements").text
    assert "/studies/1.1" in page
    assert "a vein" in page
    assert HN not in page
    assert "/studies/1.1" not in someone.get("/disagreements?kind=missed").text
    number = page.partition("/settle")[0].rpartition("/")[2]
    answer = someone.post(
        f"/disagreements/{number}/settle", {"conclusion": "model_wrong"}, page="/disagreements"
    )
    assert answer.status_code == 303
    assert "/studies/1.1" not in someone.get("/disagreements").text
    assert "/studies/1.1" in someone.get("/disagreements?settled=true").text
    again = someone.post(f"/disagreements/{number}/settle", {"conclusion": "to_label"}, page="/disagreements")
    assert again.status_code == 409


def test_reports_that_differ_are_listed_for_radiologists_of_the_hospital(enter: Enter) -> None:
    page = enter().get("/discordant").text
    assert "/studies/1.1" in page
    assert "No intracranial" not in page  # the text belongs to the study's page
    assert "/studies/1.1" not in enter(Role.RADIOLOGIST, LOEI).get("/discordant").text
    assert "/studies/1.1" not in enter(Role.SPECIALIST).get("/discordant?kind=ai_missed").text


def test_a_refused_study_shows_its_largest_series(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        study = registered(session, "1.5")
        begin_analysis(session, study)
        mark_refused(session, study, [Refusal.CONTRAST])
    page = enter().get("/studies/1.5").text
    places = [part.partition('"')[0] for part in page.split('data-address="')[1:]]
    root = "/dicomweb/studies/1.5/series/1.5.1/instances"
    assert places == [f"{root}/1.5.1.{n}/frames/1/rendered" for n in range(3)]
    assert 'class="strip"' not in page
