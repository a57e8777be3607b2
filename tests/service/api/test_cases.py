"""A labelling campaign over HTTP: offered, screened, given out, read blind, adjudicated."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import Engine

from labeling.labels import Label
from service.accounts import Role
from service.audit import search
from service.case_keys import open_research_key
from service.db import session_scope
from service.settings import Settings
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON, registered
from tests.service.labelling import BLEED, NORMAL, admitted, entered, with_images

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs

GOOD = dict.fromkeys(
    ("adult", "deficit", "stroke_code", "within_72_h", "diagnostic", "report", "no_surgery"), "yes"
)
ALL_DOUBLE = {"common": 0, "test_reads": 2, "double_share": 1.0, "rereads": 0}


def on_slices(label: Label, uids: list[str]) -> dict[str, Any]:
    """A read whose extents are of these slices."""
    plain = entered(label)
    for extent in plain["extents"]:
        extent["first"], extent["last"] = uids[0], uids[-1]
    return plain


def painting(side: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (side, side), 255).save(out, "PNG")
    return out.getvalue()


class TestCases:
    def test_a_hospital_offers_a_study_and_hears_what_becomes_of_it(
        self, engine: Engine, signed_in: SignIn
    ) -> None:
        with session_scope(engine) as session:
            registered(session, "1.2.3")
        client = signed_in(Role.TECHNICIAN)
        body = {"study": "1.2.3", "answers": {**GOOD, "report": "no"}, "icd10": "I63.9"}
        answer = client.post("/api/v1/cases", json=body)
        assert answer.status_code == 201
        case = answer.json()
        assert (case["state"], case["hospital"]) == ("excluded", UDON)
        assert case["excluded_by"] == [
            {
                "criterion": "report",
                "th": "ไม่มีรายงานผลอย่างเป็นทางการจากรังสีแพทย์",
                "en": "No official report by a radiologist",
            }
        ]
        again = client.post("/api/v1/cases", json={**body, "answers": {**GOOD, "adult": "no"}}).json()
        assert (again["number"], again["state"]) == (case["number"], "uploaded")
        assert "the images say 68.6 years" in again["doubts"][0]["en"]
        assert client.get(f"/api/v1/cases/{case['number']}").json() == again
        assert client.get("/api/v1/cases/flow").json()["waiting"] == 1
        picture = client.get("/api/v1/cases/flow.svg", params={"language": "th"})
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "ส่งเข้าระบบ" in picture.text
        elsewhere = signed_in(Role.TECHNICIAN, LOEI)
        assert elsewhere.get(f"/api/v1/cases/{case['number']}").status_code == 404
        assert elsewhere.get("/api/v1/cases").json() == []
        assert elsewhere.post("/api/v1/cases", json=body).status_code == 404

    def test_a_case_is_offered_with_its_report_which_is_kept_once(
        self, engine: Engine, signed_in: SignIn
    ) -> None:
        with session_scope(engine) as session:
            registered(session, "1.2.3")
        client = signed_in(Role.TECHNICIAN)
        body = {"study": "1.2.3", "answers": GOOD, "icd10": "I63.9"}
        assert [each["criterion"] for each in client.post("/api/v1/cases", json=body).json()["doubts"]] == [
            "report"
        ]
        for _ in range(2):
            answer = client.post("/api/v1/cases", json={**body, "report": "No haemorrhage.\n"})
            assert (answer.status_code, answer.json()["state"]) == (201, "eligible")
        (kept,) = client.get("/api/v1/studies/1.2.3/reports").json()
        assert (kept["text"], kept["source"]) == ("No haemorrhage.", "sent")
        assert "No haemorrhage" not in client.get("/api/v1/cases").text

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"onset": "yesterday"}, "'yesterday' is no onset"),
            ({"answers": {"adult": "perhaps"}}, "adult"),
            ({"answers": {"sober": "yes"}}, "sober"),
            ({"citizen_id": "1101700230709"}, "13 digits"),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, engine: Engine, signed_in: SignIn, changes: dict[str, Any], said: str
    ) -> None:
        with session_scope(engine) as session:
            registered(session, "1.2.3")
        answer = signed_in(Role.TECHNICIAN).post("/api/v1/cases", json={"study": "1.2.3", **changes})
        assert answer.status_code == 422
        assert said in answer.text
        assert "1101700230709" not in answer.text

    def test_the_ml_team_settles_what_was_left_to_a_person(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            number = admitted(session, age_years=16.0, birth_date=None).id
        team = signed_in(Role.ML, None)
        answer = team.post(f"/api/v1/cases/{number}/screening", json={"confirmed": {"adult": "yes"}})
        assert answer.json()["state"] == "eligible"
        assert team.get("/api/v1/cases", params={"state": "eligible"}).json()[0]["number"] == number

    def test_two_that_look_alike_are_decided(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            for n in (1, 2):
                admitted(session, n, patient_name="A^B", birth_date=date(1950, 2, 3))
        team = signed_in(Role.ML, None)
        assert [
            len(each["first"] + each["second"]) for each in team.get("/api/v1/cases/suspects").json()
        ] == [2]
        decided = team.post("/api/v1/cases/suspects", json={"first": 1, "second": 2, "same": False})
        assert decided.status_code == 204
        assert team.get("/api/v1/cases/suspects").json() == []


class TestCampaign:
    def test_two_read_blind_differ_and_a_third_decides(
        self, app: FastAPI, engine: Engine, settings: Settings, signed_in: SignIn, tmp_path: Path
    ) -> None:
        with session_scope(engine) as session:
            with_images(session, app.state.storage, tmp_path / "sent", 1)
        team = signed_in(Role.ML, None)
        one, other = signed_in(Role.RADIOLOGIST, UDON), signed_in(Role.RADIOLOGIST, LOEI)
        judge = signed_in(Role.SPECIALIST, None)
        names = [f"radiologist-{UDON}", f"radiologist-{LOEI}"]
        given = team.post(
            "/api/v1/cases/assignment",
            json={
                "readers": [{"username": name} for name in names],
                "adjudicators": ["specialist-None"],
                **ALL_DOUBLE,
            },
        )
        assert given.status_code == 201, given.text
        turn = one.get("/api/v1/labels/next").json()
        assert set(turn) == {"number", "done", "total", "slices", "draft"}
        uids = turn["slices"]["sop_uids"]
        key = open_research_key(settings)
        assert uids == [key.uid(f"1.2.101.1.{n}") for n in range(1, 5)]
        assert UDON not in str(turn)

        picture = one.get(f"/api/v1/labels/{turn['number']}/slices/4.webp", params={"window": "80,200"})
        assert (picture.status_code, picture.content[8:12]) == (200, b"WEBP")
        assert one.get(f"/api/v1/labels/{turn['number']}/slices/5.webp").status_code == 404
        assert other.get(f"/api/v1/labels/{turn['number']}/slices/4.webp").status_code == 404

        draft = {"quality": {"diagnostic": True}, "confidence": 3}
        assert one.put(f"/api/v1/labels/{turn['number']}/draft", json=draft).status_code == 200
        assert one.get(f"/api/v1/labels/{turn['number']}").json()["draft"]["confidence"] == 3
        refused = one.post(f"/api/v1/labels/{turn['number']}", json=draft)
        assert (refused.status_code, "triage: not answered" in refused.json()["detail"]) == (422, True)
        strange = one.post(f"/api/v1/labels/{turn['number']}", json=entered(BLEED))
        assert "slice '1.2.3' is not of this study" in strange.json()["detail"]
        read = one.post(f"/api/v1/labels/{turn['number']}", json=on_slices(BLEED, uids))
        assert read.status_code == 201, read.text
        assert one.get("/api/v1/labels/next").status_code == 204
        assert other.get(f"/api/v1/labels/{turn['number']}").status_code == 404

        assert judge.get("/api/v1/adjudications").json() == []
        theirs = other.get("/api/v1/labels/next").json()
        assert other.post(f"/api/v1/labels/{theirs['number']}", json=entered(NORMAL)).status_code == 201
        (dispute,) = judge.get("/api/v1/adjudications").json()
        assert "any_ich" in dispute["disputed"]
        assert len(dispute["reads"]) == 2
        assert not any(name in str(dispute) for name in names)
        assert other.get(f"/api/v1/adjudications/{dispute['number']}").status_code == 404
        assert judge.get(f"/api/v1/adjudications/{dispute['number']}/slices/1.webp").status_code == 200
        decided = judge.post(
            f"/api/v1/adjudications/{dispute['number']}", json={"label": on_slices(BLEED, uids)}
        )
        assert decided.status_code == 201
        assert judge.get(f"/api/v1/adjudications/{dispute['number']}").status_code == 404
        assert team.get(f"/api/v1/cases/{dispute['number']}").json()["state"] == "adjudicated"
        late = one.post(f"/api/v1/labels/{turn['number']}", json=on_slices(BLEED, uids))
        assert late.status_code == 409

        rows = {
            (each["question"], each["coefficient"]): each
            for each in team.get("/api/v1/cases/agreement").json()
        }
        assert rows["any_ich", "gwet_ac1"]["observed"] == 0
        between = team.get("/api/v1/cases/agreement", params={"question": "any_ich"}).json()
        assert {between[0]["first"], between[0]["second"]} == set(names)
        assert team.get("/api/v1/cases/agreement", params={"question": "age"}).status_code == 404
        assert [each["done"] for each in team.get("/api/v1/cases/progress").json()] == [1, 1]
        assert team.get("/api/v1/datasets").json() == []
        assert team.get("/api/v1/datasets/1").status_code == 404
        with session_scope(engine, write=False) as session:
            actions = {entry.action for entry in search(session, limit=200)}
        assert {
            "case.admit",
            "case.assign",
            "case.show",
            "case.read",
            "case.disputes",
            "case.adjudicate",
        } <= actions

    def test_a_reader_who_leaves_hands_over(self, engine: Engine, signed_in: SignIn) -> None:
        with session_scope(engine) as session:
            for n in range(1, 5):
                admitted(session, n)
        team = signed_in(Role.ML, None)
        for hcode in (UDON, LOEI):
            signed_in(Role.RADIOLOGIST, hcode)
        readers = [{"username": f"radiologist-{hcode}"} for hcode in (UDON, LOEI)]
        body = {"readers": readers, "common": 1, "test_reads": 1, "double_share": 0, "rereads": 0}
        assert team.post("/api/v1/cases/assignment", json=body).status_code == 201
        assert team.post("/api/v1/cases/assignment", json=body).status_code == 422
        gone = team.post("/api/v1/cases/hand-over", json={"reader": f"radiologist-{UDON}"}).json()
        assert gone["dropped"] == 1
        (left,) = [each for each in team.get("/api/v1/cases/progress").json() if each["total"]]
        assert left == {"reader": f"radiologist-{LOEI}", "done": 0, "total": 4}

    def test_a_mask_is_of_the_slice_and_of_its_reader_alone(
        self, app: FastAPI, engine: Engine, signed_in: SignIn, tmp_path: Path
    ) -> None:
        with session_scope(engine) as session:
            with_images(session, app.state.storage, tmp_path / "sent", 1)
        one, other = signed_in(Role.RADIOLOGIST, UDON), signed_in(Role.RADIOLOGIST, LOEI)
        readers = [{"username": f"radiologist-{hcode}"} for hcode in (UDON, LOEI)]
        given = signed_in(Role.ML, None).post(
            "/api/v1/cases/assignment", json={"readers": readers, **ALL_DOUBLE}
        )
        assert given.status_code == 201
        turn = one.get("/api/v1/labels/next").json()
        place, png = f"/api/v1/labels/{turn['number']}", {"Content-Type": "image/png"}
        small = one.post(f"{place}/masks", content=painting(32), headers=png)
        assert (small.status_code, "64 x 64" in small.text) == (422, True)
        assert other.post(f"{place}/masks", content=painting(64), headers=png).status_code == 404
        name = one.post(f"{place}/masks", content=painting(64), headers=png).json()["mask"]
        assert one.get(f"{place}/masks/{name}.png").status_code == 404  # nothing names it yet
        roi = {"kind": "seg", "finding": "iph", "sop_uid": turn["slices"]["sop_uids"][0], "mask": name}
        draft = one.put(f"{place}/draft", json={"quality": {"diagnostic": True}, "rois": [roi]})
        assert draft.status_code == 200, draft.text
        assert one.get(f"{place}/masks/{name}.png").headers["content-type"] == "image/png"
        assert other.get(f"{place}/masks/{name}.png").status_code == 404
        label = {**on_slices(BLEED, turn["slices"]["sop_uids"]), "rois": [{**roi, "mask": "0" * 64}]}
        refused = one.post(place, json=label)
        assert (refused.status_code, "send the picture first" in refused.text) == (422, True)
