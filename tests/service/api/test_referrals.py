"""Referrals over HTTP: the whole way by two hospitals, what others see, and 409 for who comes second."""

from typing import Any

import pytest
from sqlalchemy import Engine

from service.accounts import Role
from service.case_numbers import case_number
from service.db import session_scope
from service.peers import add_peer
from service.referral_states import ReferralState, Verb
from service.referrals import Referral
from tests.service.api.conftest import SignIn
from tests.service.factories import LOEI, UDON
from tests.service.referring import SAKON, SMALL, details, small_study

pytestmark = pytest.mark.one_database  # what the routes write is tested with its verbs

PATH = "/api/v1/referrals"


@pytest.fixture
def study(engine: Engine) -> int:
    with session_scope(engine) as session:
        return small_study(session).id


@pytest.fixture
def sender(signed_in: SignIn, study: int) -> Any:
    return signed_in(Role.REFERRER, SMALL)


@pytest.fixture
def receiver(signed_in: SignIn) -> Any:
    return signed_in(Role.SPECIALIST, UDON)


def body(**changes: Any) -> dict[str, Any]:
    told = details(citizen_id="1471445676574").model_dump(mode="json")
    return {"study": "1.2.3", "to": UDON, "urgency": 2, "needs": ["neurosurgery"], "details": told, **changes}


def asked(sender: Any, **changes: Any) -> int:
    number = sender.post(PATH, json=body(**changes)).json()["number"]
    assert sender.post(f"{PATH}/{number}/request", json={}).status_code == 200
    return int(number)


def test_the_whole_way(sender: Any, receiver: Any, study: int) -> None:
    begun = sender.post(PATH, json=body())
    assert begun.status_code == 201
    number = begun.json()["number"]
    assert (begun.json()["state"], begun.json()["serial"]) == ("draft", None)
    assert (
        receiver.get(f"{PATH}/{number}").status_code
        == receiver.get("/api/v1/studies/1.2.3").status_code
        == 404
    )
    for client, verb, sent, status in (
        (sender, "request", {"version": 1}, "requested"),
        (receiver, "receive", {}, "received"),
        (receiver, "accept", {"hn": "0099", "note": "bed 4"}, "accepted"),
        (sender, "depart", {}, "in-progress"),
        (receiver, "arrive", {}, "in-progress"),
        (receiver, "complete", {"reply": "craniotomy, home on day 9"}, "completed"),
    ):
        answer = client.post(f"{PATH}/{number}/{verb}", json=sent)
        assert (answer.status_code, answer.json()["task_status"]) == (200, status), verb
    told = sender.get(f"{PATH}/{number}").json()
    assert [each["verb"] for each in told["steps"]] == [
        "request",
        "receive",
        "accept",
        "depart",
        "arrive",
        "complete",
    ]
    assert (told["reply"], told["receiver_hn"], told["version"]) == ("craniotomy, home on day 9", "0099", 7)
    assert (told["case_number"], told["citizen_id_looks_wrong"]) == (case_number(study), True)
    assert receiver.get("/api/v1/studies/1.2.3").status_code == 200


def test_a_rejection_leads_to_the_next_hospital(sender: Any, receiver: Any) -> None:
    number = asked(sender)
    assert sender.post(f"{PATH}/{number}/next", json={"to": SAKON}).status_code == 409
    assert receiver.post(f"{PATH}/{number}/reject", json={"reason": "no_bed"}).status_code == 200
    seen = receiver.get(f"{PATH}/{number}").json()
    assert (seen["state"], seen["reason"], seen["details"]) == ("rejected", "no_bed", None)
    assert receiver.get("/api/v1/studies/1.2.3").status_code == 404
    following = sender.post(f"{PATH}/{number}/next", json={"to": SAKON})
    assert following.status_code == 201
    assert (following.json()["state"], following.json()["follows"]) == ("requested", number)
    assert following.json()["details"]["diagnosis"] == details().diagnosis


def test_who_acts_on_what_has_changed_is_told_so(sender: Any, receiver: Any) -> None:
    number = asked(sender)
    assert sender.post(f"{PATH}/{number}/cancel", json={"reason": "patient_improved"}).status_code == 200
    late = receiver.post(f"{PATH}/{number}/accept", json={"version": 2})
    assert (late.status_code, late.json()["detail"]) == (
        409,
        "the referral is cancelled now (version 3); you saw version 2",
    )
    assert receiver.post(f"{PATH}/{number}/accept", json={}).status_code == 409


def test_the_other_side_may_not_and_strangers_find_nothing(
    sender: Any, receiver: Any, signed_in: SignIn
) -> None:
    number = asked(sender)
    assert sender.post(f"{PATH}/{number}/accept", json={}).status_code == 403
    assert receiver.post(f"{PATH}/{number}/cancel", json={"reason": "no_answer"}).status_code == 403
    stranger = signed_in(Role.SPECIALIST, LOEI)
    assert stranger.get(PATH).json()["referrals"] == []
    for verb in Verb:
        sent = {"reply": "x"} if verb is Verb.COMPLETE else {}
        assert stranger.post(f"{PATH}/{number}/{verb.value}", json=sent).status_code == 404
    assert signed_in(Role.ML, None).get(PATH).status_code == 403


def test_lists_are_narrowed_and_paged(sender: Any, receiver: Any) -> None:
    first = asked(sender)
    receiver.post(f"{PATH}/{first}/reject", json={"reason": "no_bed"})
    second = sender.post(f"{PATH}/{first}/next", json={"to": UDON}).json()["number"]
    page = receiver.get(PATH, params={"limit": 1}).json()
    assert ([each["number"] for each in page["referrals"]], page["next"]) == ([second], second)
    rest = receiver.get(PATH, params={"before": page["next"], "side": "receiver"}).json()
    assert [each["number"] for each in rest["referrals"]] == [first]
    found = receiver.get(PATH, params={"state": ReferralState.REQUESTED.value}).json()["referrals"]
    assert [each["number"] for each in found] == [second]


def test_values_that_cannot_be_are_named(sender: Any) -> None:
    answer = sender.post(PATH, json=body(details={"nihss": 50}))
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, "body.details.nihss")


class TestDestinations:
    def test_they_come_in_order_with_the_reason_in_two_languages(self, sender: Any, receiver: Any) -> None:
        said = receiver.put(f"/api/v1/hospitals/{UDON}/capabilities/neurosurgery", json={"available": True})
        assert (said.status_code, said.json()["available"]) == (200, True)
        assert receiver.put(
            f"/api/v1/hospitals/{UDON}/travel-times/{SMALL}", json={"minutes": 35}
        ).json() == {
            "hospital": SMALL,
            "minutes": 35,
            "journeys": 0,
        }
        first = sender.get("/api/v1/destinations", params={"study": "1.2.3", "need": "neurosurgery"}).json()[
            0
        ]
        assert (first["hospital"], first["fit"], first["minutes"]) == (UDON, "stated", 35)
        assert (
            first["reason_en"] == "states neurosurgery · same province, 35 min · no other patient on the way"
        )
        assert "ประสาทศัลยกรรม" in first["reason_th"]

    def test_what_is_stated_can_be_read_and_only_the_hospital_states_it(
        self, sender: Any, receiver: Any
    ) -> None:
        path = f"/api/v1/hospitals/{UDON}/capabilities/mri"
        assert sender.put(path, json={"available": True}).status_code == 403
        receiver.put(path, json={"available": False})
        found = sender.get("/api/v1/capabilities").json()
        assert [(each["hospital"], each["capability"], each["available"]) for each in found] == [
            (UDON, "mri", False)
        ]
        assert sender.get(f"/api/v1/hospitals/{SMALL}/travel-times").json() == []


def test_the_letter_is_shown_to_both_sides_until_it_falls_through(sender: Any, receiver: Any) -> None:
    number = asked(sender)
    answer = receiver.get(f"{PATH}/{number}/letter.pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["content-disposition"].endswith('-000001.pdf"')
    receiver.post(f"{PATH}/{number}/reject", json={"reason": "no_bed"})
    assert receiver.get(f"{PATH}/{number}/letter.pdf").status_code == 404
    assert sender.get(f"{PATH}/{number}/letter.pdf").status_code == 200


def test_the_reply_letter_is_there_once_it_is_written(sender: Any, receiver: Any) -> None:
    number = asked(sender)
    path = f"{PATH}/{number}/reply.pdf"
    receiver.post(f"{PATH}/{number}/accept", json={})
    receiver.post(f"{PATH}/{number}/arrive", json={})
    early = sender.get(path)
    assert (early.status_code, early.json()["detail"]) == (
        404,
        f"referral {number} is arrived: it has no reply letter",
    )
    receiver.post(f"{PATH}/{number}/complete", json={"reply": "home on day 9"})
    for person in (sender, receiver):
        answer = person.get(path)
        assert (answer.status_code, answer.content[:5]) == (200, b"%PDF-")
        assert answer.headers["content-disposition"].startswith('inline; filename="reply-')


def test_a_handover_is_sent_again_by_either_side_once_it_has_ended(
    sender: Any, receiver: Any, engine: Engine
) -> None:
    number = asked(sender)
    path = f"{PATH}/{number}/handover"
    assert sender.post(path).status_code == 409
    receiver.post(f"{PATH}/{number}/accept", json={"hn": "0099"})
    with session_scope(engine) as session:
        add_peer(session, "udon-pacs", ae_title="PACS", host="127.0.0.1", port=104, hcode=UDON)
        session.get_one(Referral, number).packed_hn = "0099"
    assert receiver.post(path).status_code == 202
    again = sender.post(path)
    assert (again.status_code, again.json()["title"]) == (409, "Under way")
    assert "the copies are being made" in again.json()["detail"]


def test_a_share_link_is_made_counted_and_revoked(sender: Any, receiver: Any, anonymous: Any) -> None:
    path = f"{PATH}/{asked(sender)}/links"
    made = sender.post(path, json={"hours": 2})
    assert made.status_code == 201
    place = made.json()["address"].removeprefix("http://testserver")
    assert anonymous.get(place).status_code == 200
    (link,) = receiver.get(path).json()
    assert [each["what"] for each in link["openings"]] == ["page"]
    assert "address" not in link
    assert sender.post(f"{path}/{link['number']}/revoke").status_code == 204
    assert anonymous.get(place).status_code == 404
