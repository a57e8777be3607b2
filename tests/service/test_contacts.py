"""Contacts: whose they are, what an address must be, and the hours in which they rest."""

import pytest
from sqlalchemy.orm import Session

from service.accounts import OPERATOR, Role, Viewer, add_account
from service.contacts import (
    Contact,
    Way,
    add_contact,
    contacts_of_hospital,
    contacts_of_person,
    find_contact,
    read_quiet,
    remove_contact,
)
from service.errors import AlreadyExists, BadRequest, NotFound
from tests.service.factories import UDON

DOCTOR = Viewer("doctor", Role.REFERRER, UDON)


@pytest.fixture(autouse=True)
def people(session: Session) -> None:
    add_account(session, "doctor", Role.REFERRER, hcode=UDON)
    add_account(session, "other", Role.REFERRER, hcode=UDON)


def test_people_have_mail_and_line_and_hospitals_the_rest(session: Session) -> None:
    add_contact(session, DOCTOR, Way.EMAIL, " doctor@hospital.example ", username="doctor")
    add_contact(session, DOCTOR, Way.LINE, "U" + "a1" * 16, username="doctor", quiet=(1320, 360))
    hook = add_contact(session, OPERATOR, Way.WEBHOOK, "https://his.example/in", hcode=UDON)
    keys = add_contact(session, OPERATOR, Way.MOPH_NOTIFY, "client-key", hcode=UDON, secret="secret-key")
    mine = contacts_of_person(session, "doctor")
    assert [(each.way, each.address, each.quiet) for each in mine] == [
        (Way.EMAIL, "doctor@hospital.example", ""),
        (Way.LINE, "U" + "a1" * 16, "22:00-06:00"),
    ]
    assert contacts_of_hospital(session, UDON) == [hook, keys]
    assert len(hook.secret) >= 32
    assert keys.secret == "secret-key"


@pytest.mark.parametrize(
    ("way", "address", "why"),
    [
        (Way.EMAIL, "doctor", "'doctor' is not an e-mail address"),
        (Way.EMAIL, "หมอ@hospital.example", "in ASCII"),
        (Way.LINE, "doctor", "LINE user, group or room id"),
        (Way.IN_APP, "x", "needs no contact"),
        (Way.WEBHOOK, "ftp://his.example", "not an http"),
        (Way.WEBHOOK, "https:///nowhere", "names no host"),
        (Way.MOPH_NOTIFY, "client-key", "the secret key"),
    ],
)
def test_an_address_that_is_none_is_refused(session: Session, way: Way, address: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        add_contact(session, OPERATOR, way, address, hcode=UDON)


def test_a_contact_is_somebodys(session: Session) -> None:
    for whose in ({}, {"username": "doctor", "hcode": UDON}):
        with pytest.raises(BadRequest, match="one person or to one hospital"):
            add_contact(session, OPERATOR, Way.EMAIL, "a@b.example", **whose)
    with pytest.raises(BadRequest, match="belongs to a hospital"):
        add_contact(session, OPERATOR, Way.WEBHOOK, "https://his.example/in", username="doctor")
    add_contact(session, OPERATOR, Way.EMAIL, "a@b.example", username="doctor")
    add_contact(session, OPERATOR, Way.EMAIL, "a@b.example", hcode=UDON)
    with pytest.raises(AlreadyExists):
        add_contact(session, OPERATOR, Way.EMAIL, "a@b.example", hcode=UDON)


def test_one_forgets_ones_own_and_nobody_elses(session: Session) -> None:
    contact = add_contact(session, DOCTOR, Way.EMAIL, "a@b.example", username="doctor")
    with pytest.raises(NotFound, match=f"no contact {contact.id}"):
        find_contact(session, contact.id, Viewer("other", Role.REFERRER, UDON))
    remove_contact(session, DOCTOR, find_contact(session, contact.id, DOCTOR))
    assert contacts_of_person(session, "doctor") == []


@pytest.mark.parametrize(
    ("quiet", "resting"),
    [
        ("22:00-06:00", {0, 359, 1320, 1439}),
        ("08:00-16:00", {480, 959}),
        ("", set()),
    ],
)
def test_quiet_hours_may_pass_midnight(quiet: str, resting: set[int]) -> None:
    start, end = read_quiet(quiet) or (None, None)
    contact = Contact(quiet_from=start, quiet_until=end)
    assert {
        minute for minute in (0, 359, 360, 480, 959, 960, 1319, 1320, 1439) if contact.rests(minute)
    } == resting


@pytest.mark.parametrize("text", ["22-06", "25:00-06:00", "22:00", "a-b-c"])
def test_a_time_of_quiet_is_written_in_one_way(text: str) -> None:
    with pytest.raises(BadRequest, match="write it as 22:00-06:00"):
        read_quiet(text)


def test_a_quiet_of_no_length_is_refused(session: Session) -> None:
    with pytest.raises(BadRequest, match="two different minutes"):
        add_contact(session, DOCTOR, Way.EMAIL, "a@b.example", username="doctor", quiet=(60, 60))
