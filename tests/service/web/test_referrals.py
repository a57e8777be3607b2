"""The pages of referrals: from a study's page to the reply, by two people at two hospitals."""

import re
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import Engine

from service.accounts import OPERATOR, Role, Viewer
from service.condition import Anticoagulant
from service.consult_details import ConsultDetails
from service.consults import ask
from service.db import session_scope
from service.hospital_modes import Mode, switch_mode
from service.peers import add_peer
from service.referral_states import ReferralState
from service.referrals import Referral
from service.series import series_of
from service.settings import Settings
from service.sight import find_study
from service.specialties import Specialty
from service.storage import FolderStorage
from tests.pacs import write_study
from tests.service.factories import HN, UDON, analysed
from tests.service.referring import SAKON, SMALL, requested, small_study
from tests.service.web.conftest import Enter, Person

FORM = "/studies/1.2.3/refer"


@pytest.fixture
def sender(enter: Enter, engine: Engine) -> Person:
    with session_scope(engine) as session:
        small_study(session)
    return enter(Role.REFERRER, SMALL)


def sent(sender: Person, **changes: str | list[str]) -> str:
    values = {"to": UDON, "urgency": "2", "need": "neurosurgery", "diagnosis": "ICH", "doctor": "Dr. A"}
    told = {"request_text": "bed", "nihss": "9", "onset_at": "2026-11-28T01:30"}
    answer = sender.post(FORM, {**values, **told, **changes})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_the_form_is_filled_in_with_what_the_hub_knows(sender: Person) -> None:
    assert f'href="{FORM}"' in sender.get("/studies/1.2.3").text
    page = sender.get(FORM).text
    assert 'value="I61.9"' in page
    assert "สงสัยโดย AI" in page
    assert re.search(r'value="neurosurgery" checked', page)
    other = sender.get(f"{FORM}/destinations", params={"need": "ct"}).text
    assert "<html" not in other
    assert 'name="to"' in other


def test_care_before_the_transfer_is_ticked_and_reaches_page_letter_and_files(sender: Person) -> None:
    place = sent(sender, care=["airway", "iv_line"])
    assert "ทางเดินหายใจ, เปิดเส้นเลือด" in sender.get(place).text
    with zipfile.ZipFile(BytesIO(sender.get(f"/api/v1{place}/43-files.zip").content)) as files:
        lines = files.read("CARE_REFER.txt").decode().split("\r\n")
    assert [line.split("|")[3] for line in lines[1:-1]] == ["1", "3"]


def test_the_whole_way_by_two_people(sender: Person, enter: Enter, engine: Engine) -> None:
    place = sent(sender)
    receiver = enter(Role.SPECIALIST, UDON)
    board = receiver.get("/referrals").text
    assert place in board
    assert 'hx-trigger="hub:refresh"' in board  # by board.js, when an event of a referral comes
    page = receiver.get(place).text
    assert "NIHSS" in page
    assert HN in page
    with session_scope(engine, write=False) as session:
        assert session.get_one(Referral, int(place.rpartition("/")[2])).state is ReferralState.RECEIVED
    for person, verb, values in (
        (receiver, "accept", {"hn": "0099", "version": "3"}),
        (sender, "depart", {}),
        (receiver, "arrive", {}),
        (receiver, "complete", {"note": "craniotomy"}),
    ):
        assert person.post(f"{place}/{verb}", values, page=place).status_code == 303, verb
    page = sender.get(place).text
    assert "craniotomy" in page
    assert f'href="/api/v1{place}/reply.pdf"' in page
    assert place not in sender.get("/referrals").text
    assert place in sender.get("/referrals?side=sender&ended=true").text


def test_images_and_letter_are_sent_again_by_a_button(sender: Person, enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        add_peer(session, "udon-pacs", ae_title="PACS", host="127.0.0.1", port=104, hcode=UDON)
    place = sent(sender)
    receiver = enter(Role.SPECIALIST, UDON)
    receiver.post(f"{place}/accept", {"hn": "0099"}, page=place)
    button = f'action="{place}/handover"'
    assert button not in receiver.get(place).text  # the copies are being made
    with session_scope(engine) as session:
        session.get_one(Referral, int(place.rpartition("/")[2])).packed_hn = "0099"
    assert button in receiver.get(place).text
    assert receiver.post(f"{place}/handover", {}, page=place).status_code == 303
    assert button not in receiver.get(place).text


def test_a_rejection_offers_the_next_hospital(sender: Person, enter: Enter) -> None:
    place = sent(sender)
    receiver = enter(Role.SPECIALIST, UDON)
    assert receiver.post(f"{place}/reject", {"reason": "no_bed"}, page=place).status_code == 303
    assert HN not in receiver.get(place).text
    page = sender.get(place).text
    assert f'action="{place}/next"' in page
    assert f'name="to" value="{UDON}"' not in page
    following = sender.post(f"{place}/next", {"to": SAKON}, page=place)
    assert following.headers["location"] != place


def test_what_cannot_be_is_said_on_a_page(sender: Person) -> None:
    for changes, said in (({"nihss": "77"}, "nihss"), ({"onset_at": "soon"}, "soon"), ({"to": ""}, "choose")):
        answer = sender.post(
            FORM, {"to": UDON, "diagnosis": "x", "request_text": "x", "doctor": "x", **changes}
        )
        assert (answer.status_code, said in answer.text) == (422, True)


def test_acting_on_an_old_page_is_refused(sender: Person, enter: Enter) -> None:
    place = sent(sender)
    receiver = enter(Role.SPECIALIST, UDON)
    assert receiver.post(f"{place}/accept", {"version": "1"}, page=place).status_code == 409


def test_a_hospital_states_what_it_can_do(sender: Person, enter: Enter) -> None:
    receiver = enter(Role.SPECIALIST, UDON)
    answer = receiver.post(
        "/referrals/capabilities", {"capability": "neurosurgery", "available": "true"}, page="/referrals"
    )
    assert answer.status_code == 303
    assert "แจ้งว่ามี ประสาทศัลยกรรม" in sender.get(FORM).text


def test_a_hospital_states_how_far_others_are(sender: Person) -> None:
    answer = sender.post("/referrals/roads", {"to": UDON, "minutes": "42"}, page="/referrals")
    assert answer.status_code == 303
    assert "42 นาที" in sender.get("/referrals").text
    assert "42 นาที" in sender.get(FORM).text
    assert sender.post("/referrals/roads", {"to": UDON, "minutes": "0"}, page="/referrals").status_code == 422


def test_the_number_of_the_same_person_here_is_proposed(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "9.9.9", hcode=UDON, patient_id="650012")
        number = requested(session).id
    assert 'value="650012"' in enter(Role.SPECIALIST, UDON).get(f"/referrals/{number}").text


class TestShare:
    def test_a_link_opens_page_and_letter_for_whoever_holds_it_until_it_is_revoked(
        self, sender: Person, enter: Enter, person: Person
    ) -> None:
        place = sent(sender)
        page = sender.post(f"{place}/links", {"hours": "4"}, page=place).text
        found = re.search(r"/s/[\w-]{43}", page)
        assert found
        assert "data:image/svg+xml" in page
        shared = person.get(found[0])
        assert (shared.status_code, HN in shared.text) == (200, False)
        assert shared.headers["referrer-policy"] == "no-referrer"
        assert person.get(f"{found[0]}/letter.pdf").content.startswith(b"%PDF-")
        assert person.get(f"{found[0]}/key-slices/1.webp").status_code == 404  # the study has none
        page = sender.get(place).text
        assert found[0] not in page
        assert page.count("testclient") == 2
        ended = re.search(rf"{place}/links/\d+/revoke", page)
        assert ended
        assert sender.post(ended[0], {}, page=place).status_code == 303
        for path in ("", "/letter.pdf", "/key-slices/1.webp"):
            assert person.get(f"{found[0]}{path}").status_code == 404
        assert person.get("/s/unknown").status_code == 404

    def test_what_a_silent_hospitals_ai_says_is_not_shared(
        self, sender: Person, person: Person, engine: Engine
    ) -> None:
        place = sent(sender)
        with session_scope(engine) as session:
            switch_mode(session, OPERATOR, SMALL, Mode.SILENT)
        page = sender.post(f"{place}/links", {}, page=place).text
        found = re.search(r"/s/[\w-]{43}", page)
        assert found
        assert 'class="findings"' not in person.get(found[0]).text

    def test_a_head_in_which_the_ai_chose_nothing_is_still_seen(
        self, sender: Person, person: Person, engine: Engine, settings: Settings, tmp_path: Path
    ) -> None:
        place = sent(sender)
        paths = write_study(tmp_path, study="1.2.3", slices=30)
        kept = FolderStorage(settings.storage_folder).keep_all(paths)
        with session_scope(engine) as session:
            rows = [
                [
                    path.name.removesuffix(".0.dcm"),
                    CTImageStorage,
                    ExplicitVRLittleEndian,
                    key,
                    n,
                    [0.0, 0.0, n],
                ]
                for n, (path, key) in enumerate(zip(paths, kept, strict=True))
            ]
            [series] = series_of(session, find_study(session, "1.2.3", OPERATOR).id)
            series.instances = rows
        page = sender.post(f"{place}/links", {}, page=place).text
        found = re.search(r"/s/[\w-]{43}", page)
        assert found
        shown = person.get(found[0]).text
        assert re.findall(r"slices/(\d+)\.webp\"><img", shown) == [str(n) for n in range(1, 13)]
        numbers = re.findall(r"slices/\d+\.webp\"><img[^>]*alt=\"[^\"]*?(\d+)\"", shown)
        assert (numbers[0], numbers[-1]) == ("2", "29")  # of thirty, counted from below
        picture = person.get(f"{found[0]}/slices/1.webp")
        assert picture.headers["content-type"] == "image/webp"
        assert Image.open(BytesIO(picture.content)).size[0] <= 512
        assert person.get(f"{found[0]}/slices/13.webp").status_code == 404


def test_the_condition_told_in_a_consult_need_not_be_typed_again(sender: Person, engine: Engine) -> None:
    viewer = Viewer("dr", Role.REFERRER, SMALL)
    told = ConsultDetails(nihss=17, systolic=201, anticoagulant=Anticoagulant.WARFARIN)
    with session_scope(engine) as session:
        study = find_study(session, "1.2.3", viewer)
        stroke = Specialty.NEUROLOGY
        ask(session, viewer, study, to_hcode=UDON, specialty=stroke, question="?", details=told)
    page = sender.get(FORM).text
    assert 'name="nihss" value="17"' in page
    assert 'name="systolic" value="201"' in page
    assert '<option value="warfarin" selected>' in page


def test_a_reply_is_drafted_looked_at_and_sent(sender: Person, enter: Enter) -> None:
    place = sent(sender)
    receiver, colleague = enter(Role.SPECIALIST, UDON), enter(Role.REFERRER, UDON)
    receiver.get(place)
    for verb in ("accept", "arrive"):
        assert receiver.post(f"{place}/{verb}", {}, page=place).status_code == 303
    assert receiver.post(f"{place}/reply-draft", {"note": "Craniotomy", "seen": "0"}).status_code == 303
    page = colleague.get(place).text
    assert "Craniotomy</textarea>" in page
    assert "specialist-10671" in page
    assert "Craniotomy" not in sender.get(place).text
    assert sender.get(f"/api/v1{place}/reply.pdf").status_code == 404
    looked = colleague.post(f"{place}/reply-draft", {"note": "Home on day 9", "seen": "1", "look": "en"})
    assert looked.headers["location"] == f"/api/v1{place}/reply.pdf?lang=en"
    assert b"<rdf:li>en-TH" in colleague.get(looked.headers["location"]).content
    stale = receiver.post(f"{place}/reply-draft", {"note": "Craniotomy", "seen": "1"})
    assert stale.status_code == 409
    assert receiver.post(f"{place}/complete", {"note": "Home on day 9"}, page=place).status_code == 303
    page = sender.get(place).text
    assert "Home on day 9" in page
    assert f'href="/api/v1{place}/reply.pdf?lang=en"' in page
    assert b"<rdf:li>en-TH" in sender.get(f"/api/v1{place}/reply.pdf?lang=en").content
    assert receiver.post(f"{place}/reply-draft", {"note": "more"}).status_code == 409
