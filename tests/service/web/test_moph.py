"""What the pages say of MOPH Refer, and the letter in the language of the reader's pages."""

import pytest
from sqlalchemy import Engine

from service.accounts import OPERATOR, Role
from service.db import now, session_scope
from service.moph.keys import list_keys, set_keys
from service.moph.messages import MessageKind, MessageState, messages_of, settle
from service.moph.outbox import Outbox
from service.referrals import Referral
from tests.service.factories import UDON
from tests.service.referring import SMALL, requested
from tests.service.web.conftest import Enter


@pytest.fixture
def number(engine: Engine) -> int:
    """A referral that MOPH Refer took one record of and refused another."""
    with session_scope(engine) as session:
        set_keys(session, OPERATOR, SMALL, api_key="a", secret_key="b")
        referral = requested(session)
    Outbox(engine, lambda *_: None).look()
    with session_scope(engine) as session:
        for each in messages_of(session, session.get_one(Referral, referral.id)):
            state = MessageState.SENT if each.kind is MessageKind.HISTORY else MessageState.REFUSED
            settle(each, state, "statusCode 400 no time", now())
    return referral.id


def test_the_referral_says_how_it_stands(enter: Enter, number: int) -> None:
    page = enter(Role.REFERRER, SMALL).get(f"/referrals/{number}").text
    assert "ส่งข้อมูลการส่งต่อไป MOPH Refer แล้ว" in page
    assert "MOPH Refer ไม่รับผลตรวจ" in page
    assert page.count("statusCode 400 no time") == 1
    assert f'href="/api/v1/referrals/{number}/43-files.zip"' in page


def test_an_administrator_sends_it_again_from_the_console(enter: Enter, engine: Engine, number: int) -> None:
    admin = enter(Role.ADMIN, None)
    assert "statusCode 400 no time" in admin.get("/console").text
    with session_scope(engine, write=False) as session:
        refused = messages_of(session, session.get_one(Referral, number))[-1].id
    assert admin.post(f"/console/moph/{refused}/again", {}, page="/console").status_code == 303
    assert "statusCode 400 no time" not in admin.get("/console").text


def test_the_letter_speaks_as_the_pages_do_or_as_asked(enter: Enter, number: int) -> None:
    someone = enter(Role.REFERRER, SMALL)
    place = f"/api/v1/referrals/{number}/letter.pdf"
    thai = someone.get(place).content
    assert b"<rdf:li>th-TH" in thai
    assert b"<rdf:li>en-TH" in someone.get(f"{place}?lang=en").content
    someone.post("/preferences", {"language": "en", "next": "/account"})
    assert b"<rdf:li>en-TH" in someone.get(place).content
    assert b"<rdf:li>th-TH" in someone.get(f"{place}?lang=th").content
    assert b"<rdf:li>en-TH" in someone.get(place.replace("letter", "stroke-sheet")).content
    assert someone.get(f"{place}?lang=fr").status_code == 422


def test_the_console_keeps_keys_and_shows_the_queue(enter: Enter, engine: Engine, number: int) -> None:
    admin = enter(Role.ADMIN, None)
    page = admin.get("/console/moph").text
    assert "statusCode 400 no time" in page
    assert f'href="/referrals/{number}"' in page
    assert page.count("/again") == 1
    assert "/again" not in admin.get("/console/moph?state=sent").text
    assert "HUB_NREFER_URL" in page
    given = {"hospital": UDON, "api_key": "key-of-udon", "secret_key": "secret-of-udon"}
    assert admin.post("/console/moph/keys", given, page="/console/moph").status_code == 303
    shown = admin.get("/console/moph").text
    assert f"/console/moph/keys/{UDON}/drop" in shown
    assert "of-udon" not in shown
    with session_scope(engine, write=False) as session:
        assert {each.hcode for each in list_keys(session)} == {SMALL, UDON}
    assert admin.post(f"/console/moph/keys/{UDON}/drop", {}, page="/console/moph").status_code == 303
    assert admin.post(f"/console/moph/keys/{UDON}/drop", {}, page="/console/moph").status_code == 404
    assert (
        admin.post("/console/moph/keys", {**given, "api_key": "กุญแจ"}, page="/console/moph").status_code
        == 422
    )
