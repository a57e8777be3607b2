"""A hospital's thresholds on pages: proposed, set, told on the study, and undone on the list."""

import json

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from model.weights import SHIPPED, digest
from service.accounts import Role
from service.db import session_scope
from service.findings import record_prediction
from service.hospital_thresholds import thresholds_in_force
from service.models import register_model
from service.studies import begin_analysis
from service.thresholds import LEAST
from tests.service.factories import LOEI, UDON, prediction, registered
from tests.service.modelling import ML
from tests.service.test_thresholds import reviewed
from tests.service.web.conftest import Enter

pytestmark = pytest.mark.one_database  # the verbs are tested beside them
PAGE = f"/console/thresholds/{UDON}"
ICH = StrokeType.ANY_ICH
PACKAGE = digest(SHIPPED)
USUAL: float = json.loads((SHIPPED / "calibration.json").read_text())["any_ich"]["flag"]


@pytest.fixture(autouse=True)
def reviews(engine: Engine) -> None:
    with session_scope(engine) as session:
        reviewed(session, UDON, 2 * LEAST, positive=LEAST, digest=PACKAGE)


def row_of(engine: Engine) -> int | None:
    with session_scope(engine) as session:
        row = thresholds_in_force(session, PACKAGE, UDON).get(ICH)
        return row.id if row else None


def test_set_from_the_proposal_told_on_the_study_and_undone_on_the_list(engine: Engine, enter: Enter) -> None:
    team = enter(Role.ML, None)
    assert f'href="{PAGE}"' in team.get("/console/models").text
    shown = team.get(PAGE).text
    assert shown.count('name="flag"') == 1, "the other findings have too few reviews"
    assert "ทบทวนน้อยเกินไป" in shown
    assert 'name="override"' not in shown
    values = {"digest": PACKAGE, "finding": "any_ich", "seen": str(USUAL), "flag": "0.3"}
    wrong = team.post(f"{PAGE}/apply", values | {"reason": "x", "flag": "0.94"}, page=PAGE)
    assert wrong.status_code == 409
    assert "เกณฑ์นี้จะทำให้พลาดมากเกินไป" in wrong.text, wrong.text
    assert team.post(f"{PAGE}/apply", values | {"reason": "missed"}, page=PAGE).status_code == 303
    assert team.post(f"{PAGE}/apply", values | {"reason": "missed"}, page=PAGE).status_code == 409
    row = row_of(engine)
    assert row is not None
    assert f"{USUAL:.3f} → <b>0.300</b>" in team.get(PAGE).text
    with session_scope(engine) as session:
        register_model(
            session, ML, name="same", digest=PACKAGE, folder="models/same", assessed=[ICH],
            engine="openvino-fp32", golden_off_by=0.0,
        )  # fmt: skip
    of_package = team.get("/console/models/same")
    assert of_package.status_code == 200
    assert "<b>0.300</b>" in of_package.text
    assert f'href="{PAGE}"' in of_package.text

    with session_scope(engine) as session:
        study = registered(session, "1.2.3")
        begin_analysis(session, study)
        record_prediction(session, study, prediction(ICH), thresholds={ICH: row})
    told = enter(Role.RADIOLOGIST).get("/studies/1.2.3").text
    assert "เป็นเกณฑ์ของโรงพยาบาลนี้เอง" in told
    assert f"เกณฑ์ของแบบจำลองคือ {USUAL:.3f} เหตุผล: missed" in told

    back = {"digest": PACKAGE, "finding": "any_ich", "seen": "0.3", "reason": "too many"}
    assert f'action="{PAGE}/undo"' in team.get("/console/models").text
    assert team.post(f"{PAGE}/undo", back, page="/console/models").status_code == 303
    assert row_of(engine) is None
    assert team.post(f"{PAGE}/undo", back | {"digest": "d" * 64}, page=PAGE).status_code == 409


def test_the_team_of_one_hospital_has_no_say_elsewhere(engine: Engine, enter: Enter) -> None:
    theirs = enter(Role.ML, LOEI)
    assert theirs.get(PAGE).status_code == 404
    assert PAGE not in theirs.get("/console/models").text
    values = {"digest": PACKAGE, "finding": "any_ich", "flag": "0.3", "reason": "x"}
    page = f"/console/thresholds/{LOEI}"
    assert theirs.post(f"{PAGE}/apply", values, page="/account").status_code == 403
    assert "ทบทวนน้อยเกินไป" in theirs.get(page).text
    assert row_of(engine) is None
