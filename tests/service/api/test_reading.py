"""DICOMweb of a blind read: that case's slices without the patient, for whoever has still to read it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, select

from labeling.assignment import Design, Reader
from labeling.splits import Shares
from service.accounts import Role
from service.assignments import assign_cases
from service.audit import AuditEntry
from service.blindness import give_up_blindness
from service.case_keys import open_research_key
from service.case_states import CaseState
from service.cases import Case
from service.db import session_scope
from service.reading_copies import SHOWN
from service.result_objects import ResultObject
from service.settings import Settings
from tests.pacs import make_slice
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON
from tests.service.labelling import BLEED, ML, NORMAL, entered, reader, with_images

pytestmark = pytest.mark.one_database  # what it asks the database is tested with reads and adjudications

READER, OTHER, JUDGE = f"radiologist-{UDON}", f"radiologist-{LOEI}", f"specialist-{UDON}"
REAL, SERIES = "1.2.101", "1.2.101.1"
SECRETS = (REAL, "Secret", "Name1", "HN-77", "ACC1", UDON, "HN1")
MADE = "2.25.77"
"""The AI's object of the same study."""
FRAMES = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}


@pytest.fixture
def people(app: FastAPI, engine: Engine, signed_in: SignIn, tmp_path: Path) -> dict[str, Any]:
    """Two readers of a case of four slices, who decides between them, and others; the AI has marked it."""
    people = {
        READER: signed_in(Role.RADIOLOGIST, UDON),
        OTHER: signed_in(Role.RADIOLOGIST, LOEI),
        JUDGE: signed_in(Role.SPECIALIST, UDON),
        "idle": signed_in(Role.RADIOLOGIST, "11450"),
        "admin": signed_in(Role.ADMIN, None),
        "ml": signed_in(Role.ML, None),
        "technician": signed_in(Role.TECHNICIAN, UDON),
    }
    with session_scope(engine) as session:
        case = with_images(session, app.state.storage, tmp_path / "sent")
        path = tmp_path / "seg.dcm"
        make_slice(study=REAL, modality="SEG").save_as(path, enforce_file_format=True)
        session.add(
            ResultObject(
                study_id=case.study_id, revision=1, kind="seg", sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4",
                sop_instance_uid=MADE, series_instance_uid=f"{MADE}.1", modality="SEG", series_number=1,
                transfer_syntax_uid="1.2.840.10008.1.2.1", instance_number=1, series_description="AI", size=1,
                storage_key=app.state.storage.keep_bytes(path.read_bytes()),
            )
        )  # fmt: skip
        design = Design(common=1, rereads=0)
        names = [Reader(READER), Reader(OTHER)]
        assign_cases(session, ML, names, design, Shares(test=0, calibration=0), adjudicators=[JUDGE])
    return people


def root_of(client: Any) -> str:
    return f"/api/v1/labels/{client.get('/api/v1/labels/next').json()['number']}/dicomweb"


def uids_of(client: Any, root: str) -> tuple[str, str]:
    (study,) = client.get(f"{root}/studies").json()
    uid = study["0020000D"]["Value"][0]
    (series,) = client.get(f"{root}/studies/{uid}/series").json()
    return uid, series["0020000E"]["Value"][0]


def test_it_tells_what_shows_the_slices_and_no_word_of_anybody(
    people: dict[str, Any], settings: Settings, engine: Engine
) -> None:
    client = people[READER]
    root, key = root_of(client), open_research_key(settings)
    study, series = uids_of(client, root)
    assert (study, series) == (key.uid(REAL), key.uid(SERIES))
    place = f"{root}/studies/{study}/series/{series}"
    told = client.get(f"{place}/metadata").json()
    assert [each["00080018"]["Value"][0] for each in told] == [key.uid(f"{SERIES}.{n}") for n in range(1, 5)]
    assert all(each.keys() <= SHOWN | {"00083002"} for each in told)
    assert client.get(f"{root}/studies/{study}/metadata").json() == told
    assert client.get(f"{place}/instances/{told[2]['00080018']['Value'][0]}/metadata").json() == [told[2]]
    assert len(client.get(f"{place}/instances", params={"includefield": "all"}).json()) == 4
    frame = client.get(f"{place}/instances/{key.uid(f'{SERIES}.3')}/frames/1", headers=FRAMES)
    assert bytes([1, 0]) * 64 * 64 in frame.content
    everything = [
        client.get(path, params={"includefield": "all"}).text
        for path in (
            f"{root}/studies",
            f"{root}/studies/{study}/series",
            f"{place}/instances",
            f"{place}/metadata",
        )
    ]
    assert not [word for word in SECRETS for text in everything if word in text]
    with session_scope(engine, write=False) as session:
        seen = session.scalars(select(AuditEntry).where(AuditEntry.actor == READER)).all()
        case = session.scalars(select(Case)).one()
        assert {each.action for each in seen} >= {"case.search", "case.metadata", "case.frames"}
        assert {each.study_id for each in seen if each.action == "case.frames"} == {case.study_id}


def test_nothing_else_of_the_study_is_there_whatever_is_asked(
    people: dict[str, Any], settings: Settings
) -> None:
    assert (
        people["admin"].get(f"/dicomweb/studies/{REAL}/series", params={"Modality": "SEG"}).status_code == 200
    )
    client = people[READER]
    root, key = root_of(client), open_research_key(settings)
    study, series = uids_of(client, root)
    for place in (
        f"studies/{REAL}/series",
        f"studies/{REAL}/metadata",
        f"studies/{study}/series/{SERIES}/metadata",
        f"studies/{study}/series/{MADE}.1/metadata",
        f"studies/{study}/series/{key.uid(f'{MADE}.1')}/metadata",
        f"studies/{study}/series/{series}/instances/{SERIES}.1/frames/1",
        f"studies/{study}/series/{series}/instances/{MADE}/frames/1",
        f"studies/{study}/series/{series}/instances/..%2Fheaders.json/frames/1",
        f"studies/{study}/series/{series}/instances/{key.uid(f'{SERIES}.1')}",
        f"studies/{study}",
    ):
        assert client.get(f"{root}/{place}").status_code == 404, place
    for query in ({"StudyInstanceUID": REAL}, {"PatientID": "HN-7700001"}, {"PatientName": "Secret*"}):
        assert client.get(f"{root}/studies", params=query).status_code == 204, query
    assert client.get(f"{root}/studies/{study}/series", params={"Modality": "SEG"}).status_code == 204
    assert client.get(f"{root}/studies", params={"NoSuchThing": "1"}).status_code == 400


def test_nobody_but_its_reader_has_it_and_only_while_it_may_be_read(
    people: dict[str, Any], engine: Engine, settings: Settings
) -> None:
    client = people[READER]
    root, uids = root_of(client), client.get("/api/v1/labels/next").json()["slices"]["sop_uids"]
    assert root != root_of(people[OTHER])
    for name in (OTHER, JUDGE, "idle", "admin"):
        assert people[name].get(f"{root}/studies").status_code == 404, name
    for name in ("ml", "technician"):
        assert people[name].get(f"{root}/studies").status_code == 403, name
    with session_scope(engine, write=False) as session:
        case = session.scalars(select(Case.id)).one()
    decisions = f"/api/v1/adjudications/{case}/dicomweb/studies"
    assert people[JUDGE].get(decisions).status_code == 404  # nobody differs yet
    extents = tuple(replace(each, first=uids[0], last=uids[1]) for each in BLEED.extents)
    for name, label in ((READER, entered(NORMAL)), (OTHER, entered(replace(BLEED, extents=extents)))):
        own = root_of(people[name]).removesuffix("/dicomweb")
        assert people[name].post(own, json=label).status_code == 201
    assert client.get(f"{root}/studies").status_code == 200  # it may still be corrected
    assert people[JUDGE].get(decisions).status_code == 200
    assert people[READER].get(decisions).status_code == 404
    decided = people[JUDGE].post(f"/api/v1/adjudications/{case}", json={"label": entered(NORMAL)})
    assert decided.status_code == 201, decided.text
    assert client.get(f"{root}/studies").status_code == 404
    assert people[JUDGE].get(decisions).status_code == 404


@pytest.mark.parametrize("number", ["0", "-1", str(2**70), "x"])
def test_a_number_that_is_no_reads_is_none(people: dict[str, Any], number: str) -> None:
    for desk in ("labels", "adjudications"):
        own = f"/api/v1/{desk}/{number}"
        for path in (
            own,
            f"{own}/slices/1.webp",
            f"{own}/dicomweb/studies",
            f"/viewer/{desk}/{number}/basic",
        ):
            assert people[READER].get(path).status_code in (404, 422), path


def test_who_opened_the_study_for_care_reads_it_no_more(people: dict[str, Any], engine: Engine) -> None:
    client = people[READER]
    root = root_of(client)
    assert client.get(f"{root}/studies").status_code == 200
    with session_scope(engine) as session:
        give_up_blindness(session, reader(READER), REAL)
    assert client.get(f"{root}/studies").status_code == 404


def test_the_viewer_of_a_read_knows_that_read_alone(people: dict[str, Any], settings: Settings) -> None:
    settings.viewer.mkdir(parents=True)
    (settings.viewer / "index.html").write_text('<script src="/viewer/app-config.js"></script>')
    place = root_of(people[READER]).removeprefix("/api/v1").removesuffix("/dicomweb")
    page = people[READER].get(f"/viewer{place}/basic")
    assert page.text == f'<script src="/viewer{place}/app-config.js"></script>'
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    config = people[READER].get(f"/viewer{place}/app-config.js").text
    assert f'"qidoRoot": "/api/v1{place}/dicomweb"' in config
    assert '"/dicomweb"' not in config
    assert f'"routerBasename": "/viewer{place}"' in config
    assert "frame-ancestors 'none'" in people[READER].get("/viewer/viewer").headers["content-security-policy"]
    for name in (OTHER, "idle", "admin"):
        assert people[name].get(f"/viewer{place}/basic").status_code == 404, name


def test_copies_go_once_nobody_waits_for_the_case(
    people: dict[str, Any], engine: Engine, settings: Settings, app: FastAPI, tmp_path: Path
) -> None:
    client = people[READER]
    client.get(f"{root_of(client)}/studies")
    (first,) = (settings.data / "reading").iterdir()
    assert first.stat().st_mode & 0o077 == 0 or first.parent.stat().st_mode & 0o077 == 0
    with session_scope(engine) as session:
        session.scalars(select(Case)).one().state = CaseState.FROZEN
        with_images(session, app.state.storage, tmp_path / "more", 2)
        names, design = [Reader(READER)], Design(common=0, double_share=0, rereads=0)
        assign_cases(session, ML, names, design, Shares(test=0, calibration=0))
    turns = [n for n in range(1, 9) if client.get(f"/api/v1/labels/{n}/dicomweb/studies").status_code == 200]
    assert len(turns) == 1
    (second,) = (settings.data / "reading").iterdir()
    assert second.name != first.name


@pytest.mark.parametrize("fault", ["BurnedInAnnotation", "thin"])
def test_what_may_not_leave_care_is_refused_with_its_reason(
    people: dict[str, Any], engine: Engine, app: FastAPI, tmp_path: Path, fault: str
) -> None:
    changes = {"BurnedInAnnotation": "YES"} if fault != "thin" else {"spacing": 0.6, "SliceThickness": 0.6}
    with session_scope(engine) as session:
        session.scalars(select(Case)).one().state = CaseState.FROZEN
        with_images(session, app.state.storage, tmp_path / "more", 2, **changes)
        names, design = [Reader("radiologist-11450")], Design(common=0, double_share=0, rereads=0)
        assign_cases(session, ML, names, design, Shares(test=0, calibration=0))
    answer = people["idle"].get(f"{root_of(people['idle'])}/studies")
    assert answer.status_code == 409
    assert ("face" if fault == "thin" else "BurnedIn") in answer.json()["detail"]
    picture = people["idle"].get(root_of(people["idle"]).replace("dicomweb", "slices/1.webp"))
    if fault == "thin":
        assert picture.status_code == 200  # a slice seen along the body shows no face
    else:
        assert picture.status_code == 409
        assert "BurnedIn" in picture.json()["detail"]
