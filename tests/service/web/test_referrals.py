"""The pages of referrals: from a study's page to the reply, by two people at two hospitals."""

import re

import pytest
from sqlalchemy import Engine

from service.accounts import Role
from service.db import session_scope
from service.referral_states import ReferralState
from service.referrals import Referral
from tests.service.factories import HN, UDON, analysed
from tests.service.referring import SAKON, SMALL, requested, small_study
from tests.service.web.conftest import Enter, Person

FORM = "/studies/1.2.3/refer"


@pytest.fixture
def sender(enter: Enter, engine: Engine) -> Person:
    with session_scope(engine) as session:
        small_study(session)
    return enter(Role.REFERRER, SMALL)


def sent(sender: Person, **changes: str) -> str:
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


def test_the_whole_way_by_two_people(sender: Person, enter: Enter, engine: Engine) -> None:
    place = sent(sender)
    receiver = enter(Role.SPECIALIST, UDON)
    assert place in receiver.get("/referrals").text
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
    assert "craniotomy" in sender.get(place).text
    assert place not in sender.get("/referrals").text
    assert place in sender.get("/referrals?side=sender&ended=true").text


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


def test_the_number_of_the_same_person_here_is_proposed(enter: Enter, engine: Engine) -> None:
    with session_scope(engine) as session:
        analysed(session, "9.9.9", hcode=UDON, patient_id="650012")
        number = requested(session).id
    assert 'value="650012"' in enter(Role.SPECIALIST, UDON).get(f"/referrals/{number}").text
