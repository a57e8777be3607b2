"""The consult pages: asking from a study, taking it, advising, the thread with its slices, closing."""

import pytest
from sqlalchemy import Engine, select

from model.stroke import StrokeType
from service.accounts import Role
from service.consults import Consult
from service.db import session_scope
from tests.service.factories import LOEI, NAME, UDON, analysed
from tests.service.web.conftest import Enter, Person

ASK = "/studies/1.2.3/consult"
FORM = {
    "to": LOEI,
    "specialty": "neurology",
    "question": "ให้ยาได้หรือไม่",
    "onset": "witnessed",
    "onset_at": "2026-11-22T12:10",
    "nihss": "14",
    "gcs": "",
    "systolic": "168",
    "diastolic": "92",
    "anticoagulant": "none",
}


@pytest.fixture(autouse=True)
def study(engine: Engine) -> None:
    """A flagged study of Udon Thani."""
    with session_scope(engine) as session:
        analysed(session, "1.2.3", StrokeType.SDH)


def ask(asker: Person) -> str:
    answer = asker.post(ASK, FORM, page=ASK)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_consult_goes_its_way_by_the_pages(enter: Enter, engine: Engine) -> None:
    asker, adviser = enter(Role.REFERRER), enter(Role.SPECIALIST, LOEI)
    assert f'href="{ASK}"' in asker.get("/studies/1.2.3").text
    place = ask(asker)
    with session_scope(engine, write=False) as session:
        details = session.scalars(select(Consult)).one().details
    assert (details["nihss"], details["gcs"], details["onset_at"]) == (14, None, "2026-11-22T12:10:00+07:00")
    assert f'href="{place}"' in adviser.get("/consults").text
    page = adviser.get(place).text
    assert "168/92 mmHg" in page
    assert NAME.split("^")[0] in page
    assert f'action="{place}/cancel"' not in page
    assert adviser.post(f"{place}/accept", {}, page=place).status_code == 303
    write = {"text": "ดูภาพนี้", "more": "1"}
    assert adviser.post(f"{place}/messages", write, page=place).status_code == 303
    said = asker.get(place).text
    assert "ดูภาพนี้" in said
    assert "/frames/1/rendered" in said
    advice = {
        "thrombolysis": "conditions",
        "conditions": "BP < 185/110",
        "transfer": "true",
        "imaging": "cta",
    }
    assert adviser.post(f"{place}/answer", advice, page=place).status_code == 303
    assert "BP &lt; 185/110" in asker.get(place).text
    assert asker.post(f"{place}/close", {"outcome": "thrombolysed"}, page=place).status_code == 303
    after = adviser.get(place).text
    assert "โรงพยาบาลของท่านไม่เห็นการตรวจนี้แล้ว" in after
    assert NAME.split("^")[0] not in after
    assert adviser.get("/studies/1.2.3").status_code == 404


def test_two_who_take_it_are_told_apart(enter: Enter) -> None:
    place = ask(enter(Role.REFERRER))
    first, second = enter(Role.SPECIALIST, LOEI), enter(Role.RADIOLOGIST, LOEI)
    assert first.post(f"{place}/accept", {}, page=place).status_code == 303
    answer = second.post(f"{place}/accept", {}, page=place)
    assert (answer.status_code, "a consult that is accepted" in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"nihss": "50"}, "nihss: Input should be less than or equal to 42"),
        ({"onset_at": "noon"}, "is no moment"),
        ({"systolic": "80", "diastolic": "120"}, "is above systolic 80"),
        ({"question": " "}, "a question of 0 characters"),
    ],
)
def test_what_is_typed_wrong_is_named(enter: Enter, change: dict[str, str], why: str) -> None:
    answer = enter(Role.REFERRER).post(ASK, FORM | change, page=ASK)
    assert (answer.status_code, why in answer.text) == (422, True), answer.text


def test_slices_are_numbers(enter: Enter) -> None:
    asker = enter(Role.REFERRER)
    place = ask(asker)
    answer = asker.post(f"{place}/messages", {"more": "twelve"}, page=place)
    assert (answer.status_code, "are no slices" in answer.text) == (422, True)


def test_the_form_offers_the_hub_first_and_is_the_owners_alone(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "1.2.4", hcode="11015")
    page = enter(Role.REFERRER, "11015").get("/studies/1.2.4/consult").text
    assert page.index(f'<option value="{UDON}">') < page.index('<option value="10704">')
    assert enter(Role.REFERRER, LOEI).get("/studies/1.2.4/consult").status_code == 404
