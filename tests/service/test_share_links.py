"""Share links: what opens, for how long, who makes and ends them, and what is written down."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service import audit
from service.db import now
from service.errors import BadRequest, NotAllowed, NotFound
from service.referral_states import Reason, Verb
from service.referral_steps import move_referral
from service.referrals import Referral
from service.share_links import (
    LONGEST_HOURS,
    ShareLink,
    links_of,
    make_link,
    note_opening,
    open_link,
    revoke_link,
)
from tests.service.referring import RECEIVER, SENDER, STRANGER, accepted, draft, requested, small_study


@pytest.fixture
def referral(session: Session) -> Referral:
    return requested(session)


def test_only_the_hash_of_the_token_is_kept(session: Session, referral: Referral) -> None:
    link, token = make_link(session, referral, SENDER)
    assert open_link(session, token) == (link, referral)
    assert token not in str(session.execute(select(ShareLink.__table__)).all())


@pytest.mark.parametrize("token", ["", "x", "a" * 64])
def test_a_token_that_is_none_opens_nothing(session: Session, referral: Referral, token: str) -> None:
    make_link(session, referral, SENDER)
    with pytest.raises(NotFound):
        open_link(session, token)


def test_it_ends_by_time_by_hand_and_when_the_referral_falls_through(
    session: Session, referral: Referral
) -> None:
    (_, first), (second, other), (_, third) = (
        make_link(session, referral, SENDER, hours=hours) for hours in (1, 24, 72)
    )
    with pytest.raises(NotFound):
        open_link(session, first, at=now() + timedelta(hours=1, seconds=1))
    for _ in range(2):
        revoke_link(session, referral, second.id, RECEIVER)
    with pytest.raises(NotFound):
        open_link(session, other)
    open_link(session, third)
    move_referral(session, referral, RECEIVER, Verb.REJECT, reason=Reason.NO_BED, version=None)
    with pytest.raises(NotFound):
        open_link(session, third)


def test_only_the_two_hospitals_share_and_only_what_was_requested(session: Session) -> None:
    referral = accepted(session)
    with pytest.raises(NotAllowed):
        make_link(session, referral, STRANGER)
    for hours in (0, LONGEST_HOURS + 1):
        with pytest.raises(BadRequest, match=str(hours)):
            make_link(session, referral, SENDER, hours=hours)
    link, _ = make_link(session, referral, RECEIVER)
    with pytest.raises(NotAllowed):
        revoke_link(session, referral, link.id, STRANGER)
    with pytest.raises(NotFound):
        revoke_link(session, referral, link.id + 1, SENDER)
    with pytest.raises(BadRequest, match="draft"):
        make_link(session, draft(session, small_study(session, "1.2.4")), SENDER)


def test_every_opening_is_written_down(session: Session, referral: Referral) -> None:
    link, _ = make_link(session, referral, SENDER)
    note_opening(session, link.id, "page", "10.1.1.1")
    note_opening(session, link.id, "letter", "10.1.1.1")
    ((_, openings),) = links_of(session, referral)
    assert [each.what for each in openings] == ["letter", "page"]
    said = [(row.actor, row.action) for row in audit.search(session) if row.action.startswith("share.")]
    actor = f"share link {link.id}"
    assert said == [(actor, "share.letter"), (actor, "share.page"), ("sender", "share.made")]
