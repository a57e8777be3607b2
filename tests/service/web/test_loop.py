"""Drift and next cases on pages: empty ones say how they fill; a choice becomes a case."""

from sqlalchemy import Engine, select

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role
from service.cases import Case
from service.db import session_scope
from service.reviews import review_finding
from service.verdicts import Verdict
from tests.service.factories import UDON, analysed
from tests.service.web.conftest import Enter


def test_a_disagreement_is_chosen_and_becomes_a_case(engine: Engine, enter: Enter) -> None:
    team = enter(Role.ML)
    assert "ยังไม่มีรายที่ควรอ่าน" in team.get("/console/next-cases").text
    assert "ไม่มีการตรวจที่อ่านในช่วงนี้" in team.get("/console/drift").text
    with session_scope(engine) as session:
        study = analysed(session)
        review_finding(session, study, OPERATOR, Verdict.CORRECT, present=[StrokeType.SAH])
    assert "รังสีแพทย์เห็นต่างจากแบบจำลอง" in team.get("/console/next-cases").text
    assert 'value="1.2.3"' not in team.get("/console/next-cases?why=shadow").text
    drifting = team.get("/console/drift").text
    assert UDON in drifting
    assert "python -m training.importers frozen DATASET/manifest.jsonl CASES" in drifting
    assert "น้อยเกินไป" in drifting
    answer = team.post("/console/next-cases", {"study": "1.2.3"}, page="/console/next-cases")
    assert answer.headers["location"] == "/console/next-cases"
    with session_scope(engine) as session:
        assert session.scalars(select(Case.study_id)).all() == [study.id]
