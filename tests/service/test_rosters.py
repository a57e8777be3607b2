"""Rosters: who is on call, who is first, who may say so; and the hospital behind."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import OPERATOR, Role, Viewer, add_account
from service.audit import AuditEntry
from service.errors import AlreadyExists, BadRequest, NotFound
from service.hospitals import list_hospitals
from service.hubs import choose_hub, hub_of
from service.rosters import add_shift, candidates, on_duty, remove_shift, upcoming
from tests.service.factories import LOEI, UDON

START = datetime(2099, 11, 22, 9, 0, tzinfo=UTC)
END = START + timedelta(hours=16)
KUMPHAWAPI = "11015"
DOCTOR = Viewer("doctor", Role.REFERRER, UDON)


@pytest.fixture(autouse=True)
def people(session: Session) -> None:
    add_account(session, "doctor", Role.REFERRER, hcode=UDON)
    add_account(session, "second", Role.SPECIALIST, hcode=UDON)
    add_account(session, "region", Role.RADIOLOGIST)
    add_account(session, "loei", Role.REFERRER, hcode=LOEI)
    add_account(session, "console", Role.TECHNICIAN, hcode=UDON)


def test_the_first_to_be_told_comes_first_from_start_until_end(session: Session) -> None:
    add_shift(session, DOCTOR, UDON, "second", starts_at=START, ends_at=END, place=2)
    add_shift(session, DOCTOR, UDON, "doctor", starts_at=START, ends_at=END)
    names = {
        at: [duty.account.username for duty in on_duty(session, UDON, at)]
        for at in (START - timedelta(seconds=1), START, END - timedelta(seconds=1), END)
    }
    assert list(names.values()) == [[], ["doctor", "second"], ["doctor", "second"], []]
    assert on_duty(session, LOEI, START) == []
    assert [duty.shift.place for duty in upcoming(session, DOCTOR, UDON)] == [1, 2]


def test_a_closed_account_is_not_on_call(session: Session) -> None:
    add_shift(session, OPERATOR, UDON, "doctor", starts_at=START, ends_at=END)
    on_duty(session, UDON, START)[0].account.active = False
    session.flush()
    assert on_duty(session, UDON, START) == []
    with pytest.raises(BadRequest, match="'doctor' cannot be on call"):
        add_shift(session, OPERATOR, UDON, "doctor", starts_at=END, ends_at=END + timedelta(hours=1))


def test_a_roster_is_kept_by_its_own_hospital_and_every_change_is_audited(session: Session) -> None:
    other = Viewer("loei", Role.REFERRER, LOEI)
    with pytest.raises(NotFound, match="no roster of hospital '10671'"):
        add_shift(session, other, UDON, "doctor", starts_at=START, ends_at=END)
    shift = add_shift(session, DOCTOR, UDON, "doctor", starts_at=START, ends_at=END)
    with pytest.raises(NotFound):
        remove_shift(session, other, UDON, shift.id)
    with pytest.raises(NotFound):
        remove_shift(session, other, LOEI, shift.id)
    remove_shift(session, DOCTOR, UDON, shift.id)
    assert upcoming(session, DOCTOR, UDON) == []
    actions = session.scalars(select(AuditEntry.action).where(AuditEntry.action.like("shift.%"))).all()
    assert actions == ["shift.add", "shift.remove"]


@pytest.mark.parametrize(
    ("who", "hours", "place", "why"),
    [
        ("loei", 8, 1, "'loei' does not work for hospital 10671"),
        ("console", 8, 1, "'console' cannot be on call"),
        ("doctor", 0, 1, "it ends after it starts"),
        ("doctor", 24 * 32, 1, "at most 31 days later"),
        ("doctor", 8, 10, "place 10 on the ladder"),
    ],
)
def test_what_cannot_be_is_refused(session: Session, who: str, hours: int, place: int, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        add_shift(
            session, OPERATOR, UDON, who, starts_at=START, ends_at=START + timedelta(hours=hours), place=place
        )


def test_nobody_is_on_call_twice_at_once(session: Session) -> None:
    add_shift(session, OPERATOR, UDON, "doctor", starts_at=START, ends_at=END)
    with pytest.raises(AlreadyExists, match="in part of that time"):
        add_shift(session, OPERATOR, UDON, "doctor", starts_at=END - timedelta(hours=1), ends_at=END)
    add_shift(session, OPERATOR, UDON, "doctor", starts_at=END, ends_at=END + timedelta(hours=8))


def test_own_people_come_before_those_of_the_region(session: Session) -> None:
    assert candidates(session, UDON) == ["doctor", "second", "region"]


def test_the_provincial_hospital_stands_behind_the_others_until_somebody_chooses(session: Session) -> None:
    assert hub_of(session, KUMPHAWAPI) == UDON
    assert hub_of(session, UDON) is None
    behind = {each.hcode: hub_of(session, each.hcode) for each in list_hospitals(session)}
    assert sum(hub is None for hub in behind.values()) == 7
    choose_hub(session, OPERATOR, LOEI, UDON)
    assert hub_of(session, LOEI) == UDON
    with pytest.raises(BadRequest, match="its own hub"):
        choose_hub(session, OPERATOR, UDON, UDON)
    with pytest.raises(NotFound):
        choose_hub(session, OPERATOR, UDON, "99999")
