"""DocumentReferences over FHIR: letters and consults are found, fetched, and hidden with their patient."""

import base64
import dataclasses
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, update

from service.accounts import Role
from service.consult_details import ConsultDetails, Outcome
from service.consults import answer, ask, close
from service.db import session_scope
from service.findings import Analysis
from service.referral_states import Reason, Verb
from service.referral_steps import move_referral
from service.referrals import find_referral
from service.sight import find_study
from service.specialties import Specialty
from tests.service.api.conftest import SignIn
from tests.service.api.test_fhir import search, valid
from tests.service.factories import UDON
from tests.service.referring import RECEIVER, SENDER, SMALL, draft, requested, small_study
from tests.service.test_consults import ADVICE


@pytest.fixture
def papers(engine: Engine) -> None:
    """A referral that was asked for, a draft to elsewhere, and a consult; all of one patient."""
    with session_scope(engine) as session:
        study = small_study(session)
        requested(session, study)
        draft(session, study, to="10705")
        ask(
            session,
            SENDER,
            study,
            to_hcode=UDON,
            specialty=Specialty.NEUROSURGERY,
            question="Operate?",
            details=ConsultDetails(gcs=13),
        )


def ids(client: Any, address: str = "") -> list[str]:
    return [valid(each)["id"] for each in search(client, f"DocumentReference?{address}")]


def test_a_letter_and_a_consult_are_found_and_what_they_point_to_is_there(
    papers: None, signed_in: SignIn
) -> None:
    client = signed_in(Role.REFERRER, SMALL)
    found = {each["id"]: valid(each) for each in search(client, "DocumentReference?patient=Patient/p1")}
    assert {number: each["type"]["coding"][0]["code"] for number, each in found.items()} == {
        "r2": "57133-1",
        "r1": "57133-1",
        "c1": "11488-4",
    }
    assert [found[each]["docStatus"] for each in ("r2", "r1", "c1")] == [
        "preliminary",
        "final",
        "preliminary",
    ]
    letter, consult = (found[each]["content"][0]["attachment"] for each in ("r1", "c1"))
    fetched = client.get(urlsplit(letter["url"]).path)
    assert (fetched.headers["content-type"], fetched.content[:5]) == (letter["contentType"], b"%PDF-")
    taken = client.get(urlsplit(consult["url"]).path)
    assert (taken.headers["content-type"], taken.json()["question"]) == (consult["contentType"], "Operate?")
    for each in found["r1"]["context"]["related"]:
        assert client.get(f"/fhir/{each['reference']}").status_code == 200


def test_searches_find_what_they_are_about(papers: None, signed_in: SignIn) -> None:
    wanted = {
        "": ["r2", "r1", "c1"],
        "_count=2": ["r2", "r1"],
        "_id=r1,c1,c9,m1": ["r1", "c1"],
        "type=http://loinc.org|57133-1": ["r2", "r1"],
        "type=11488-4": ["c1"],
        "type=http://snomed.info/sct|11488-4": [],
        "related=Task/c1": ["c1"],
        "related=ServiceRequest/r1": ["r1"],
        "subject=Patient/p77": [],
        "status=current&date=ge2026-01-01": ["r2", "r1", "c1"],
        "status=superseded": [],
        "date=lt2026-01-01": [],
    }
    client = signed_in(Role.REFERRER, SMALL)
    assert {address: ids(client, address) for address in wanted} == wanted


def test_each_sees_what_their_hospital_and_role_may(papers: None, signed_in: SignIn, engine: Engine) -> None:
    receiver, technician = signed_in(Role.SPECIALIST, UDON), signed_in(Role.TECHNICIAN, SMALL)
    assert ids(receiver) == ["r1", "c1"]
    assert ids(technician) == ["r2", "r1"]
    assert ids(signed_in(Role.SPECIALIST, "10705")) == []  # a draft is not yet sent
    with session_scope(engine) as session:
        referral = find_referral(session, 1, RECEIVER, lock=True)
        move_referral(session, referral, RECEIVER, Verb.REJECT, reason=Reason.NO_BED, version=None)
    assert ids(receiver) == ["c1"]
    assert receiver.get("/fhir/DocumentReference/r1").status_code == 404
    assert technician.get("/fhir/DocumentReference/c1").status_code == 404
    with session_scope(engine) as session:
        answer(session, 1, RECEIVER, ADVICE)
        close(session, 1, SENDER, Outcome.TREATED_HERE)
        assert find_study(session, "1.2.3", SENDER)
    ended = valid(receiver.get("/fhir/DocumentReference/c1").json())
    assert (ended["docStatus"], "subject" in ended, len(ended["author"])) == ("final", False, 2)


def test_everything_of_a_patient_holds_what_was_asked_and_told_too(papers: None, signed_in: SignIn) -> None:
    def kinds(client: Any, **headers: str) -> list[str]:
        bundle = valid(client.get("/fhir/Patient/p1/$everything", headers=headers).json())
        return [each["resource"]["resourceType"] for each in bundle["entry"]]

    found = kinds(signed_in(Role.REFERRER, SMALL))
    counted = [found.count(each) for each in ("ServiceRequest", "Task", "DocumentReference")]
    assert counted == [2, 3, 3]  # one of them a draft
    there = kinds(signed_in(Role.SPECIALIST, UDON))
    assert [there.count(each) for each in ("ServiceRequest", "Task", "DocumentReference")] == [1, 2, 2]
    technician = kinds(signed_in(Role.TECHNICIAN, SMALL))
    assert [technician.count(each) for each in ("Task", "Communication")] == [2, 0]


CARD = "# A model\n\nIschaemia is *not assessed*.\n"


def test_a_devices_model_card_is_found_from_it_and_read_whole(
    papers: None, signed_in: SignIn, engine: Engine, app: FastAPI, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model_card.md").write_text(CARD)
    (package / "MANIFEST.sha256").write_text("00  model.onnx\n")
    app.state.settings = dataclasses.replace(app.state.settings, model=package)
    digest = hashlib.sha256((package / "MANIFEST.sha256").read_bytes()).hexdigest()
    client = signed_in(Role.REFERRER, SMALL)
    device = f"Device/{digest[:32]}"
    assert search(client, f"DocumentReference?subject={device}") == []  # nothing was analysed with it
    with session_scope(engine) as session:
        session.execute(update(Analysis).values(model_digest=digest))
    [extension] = valid(client.get(f"/fhir/{device}").json())["extension"]
    card = valid(client.get(f"/fhir/{extension['valueReference']['reference']}").json())
    assert card["subject"]["reference"] == device
    attachment = card["content"][0]["attachment"]
    assert base64.b64decode(attachment["data"]).decode() == CARD
    for address in (f"subject={device}", "type=model-card", f"_id={card['id']}", f"related={device}"):
        assert [each["id"] for each in search(client, f"DocumentReference?{address}")] == [card["id"]], (
            address
        )
    assert search(client, "DocumentReference?type=model-card&patient=Patient/p1") == []
    assert client.get(f"/fhir/DocumentReference/m{'0' * 32}").status_code == 404
    assert "m" not in {each["id"][0] for each in search(client, "DocumentReference?patient=Patient/p1")}
