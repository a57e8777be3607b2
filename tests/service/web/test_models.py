"""The ML team's models on pages: what reads, what the gates say in the reader's words, and the verbs."""

import pytest
from sqlalchemy import Engine

from model.stroke import StrokeType
from service.accounts import Role
from service.db import session_scope
from service.findings import analysis_of
from service.models import find_model, steps_of
from service.placements import live_in
from service.shadows import record_shadow
from tests.service.factories import LOEI, UDON, analysed, prediction
from tests.service.modelling import registered_model
from tests.service.web.conftest import Enter

NAME = "stroke-ct-0.5.0"
PAGE = f"/console/models/{NAME}"


@pytest.fixture(autouse=True)
def shadowed(engine: Engine) -> None:
    """A model that read one study as the live one did, and one of Loei otherwise."""
    with session_scope(engine) as session:
        model = registered_model(session, NAME)
        for uid, hcode, flagged in (("1.2.3", UDON, ()), ("1.2.4", LOEI, (StrokeType.ANY_ICH,))):
            study = analysed(session, uid, hcode=hcode)
            analysis = analysis_of(session, study)
            assert analysis is not None
            record_shadow(session, analysis, study, model, prediction(*flagged))


def test_from_shadow_to_a_refusal_an_override_and_back(engine: Engine, enter: Enter) -> None:
    admin = enter(Role.ADMIN)
    shown = admin.get(PAGE).text
    assert "ยังไม่มีผลประเมินของ" in shown
    assert "อ่านคู่ขนานแล้ว 2 ราย" in shown
    assert (shown.count("<circle"), shown.count('class="differs"')) == (2, 1)
    assert 'href="/studies/1.2.4"' in shown
    assert 'href="/studies/1.2.3"' not in shown

    answer = admin.post(f"{PAGE}/shadow", {"reason": "new heads"}, page=PAGE)
    assert answer.headers["location"] == f"{PAGE}?hospital="
    answer = admin.post(f"{PAGE}/promote", {"live": ""}, page=PAGE)
    assert answer.headers["location"] == f"{PAGE}?hospital=&refused=true"
    assert 'class="alarm"' in admin.get(answer.headers["location"]).text
    admin.post(f"{PAGE}/promote", {"live": "", "override": "true", "reason": "it must"}, page=PAGE)
    with session_scope(engine) as session:
        live = live_in(session, "")
        assert live is not None
        assert live.name == NAME
        assert len(steps_of(session, find_model(session, NAME))[0].gates) == 2
    listed = admin.get("/console/models").text
    assert f'name="live" value="{NAME}"' in listed
    assert "it must" in listed
    values = {"live": NAME, "hospital": "", "reason": "alarms"}
    assert admin.post("/console/models/rollback", values, page="/console/models").status_code == 303
    assert admin.post("/console/models/rollback", values, page="/console/models").status_code == 409


def test_the_team_of_one_hospital_sees_its_own_studies_and_moves_nothing_else(enter: Enter) -> None:
    theirs = enter(Role.ML, UDON)
    shown = theirs.get(f"{PAGE}?hospital={LOEI}").text
    assert 'href="/studies/1.2.4"' not in shown
    assert f'name="hospital" value="{UDON}"' in shown
    assert theirs.post(f"{PAGE}/shadow", {"hospital": LOEI}, page=PAGE).status_code == 403
    assert theirs.post(f"{PAGE}/shadow", {"hospital": UDON}, page=PAGE).status_code == 303
    assert 'name="override"' not in shown


def test_what_is_no_package_is_refused_on_the_page_with_the_reason(enter: Enter) -> None:
    team = enter(Role.ML, None)
    assert 'action="/console/models/register"' in team.get("/console/models").text
    send = {"page": "/console/models"}
    nothing = team.post("/console/models/register", {}, files={"other": b""}, **send)
    assert (nothing.status_code, "no file was chosen" in nothing.text) == (422, True)
    files = {"package": ("package.zip", b"no zip", "application/zip")}
    refused = team.post("/console/models/register", {}, files=files, **send)
    assert (refused.status_code, "no zip that can be read" in refused.text) == (422, True)
    theirs = enter(Role.ML, UDON)
    assert theirs.post("/console/models/register", {}, files=files, **send).status_code == 403
