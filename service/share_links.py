"""ShareLink: opens key slices and letter of one referral for whoever holds it, for some hours.

For a hospital without a PACS or an account. Only the SHA-256 of its 256 random bits is kept; every opening is
written down; it ends by time, by hand, or when the referral falls through. No patient is named in it.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, now
from service.errors import BadRequest, NotAllowed, NotFound
from service.referral_states import FALLEN, ReferralState
from service.referrals import Referral, audit_detail, sides_of

LONGEST_HOURS = 72
USUAL_HOURS = 24
SHOWN_OPENINGS = 50


class ShareLink(Base):
    """One link."""

    __tablename__ = "share_links"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    referral_id: Mapped[int] = mapped_column(ForeignKey("referrals.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str] = mapped_column(String(100), default="")

    def is_open(self, at: datetime) -> bool:
        """Whether it still opens anything."""
        return self.revoked_at is None and at < self.expires_at


class ShareOpening(Base):
    """One time that a link was used."""

    __tablename__ = "share_openings"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    link_id: Mapped[int] = mapped_column(ForeignKey("share_links.id"), index=True)
    what: Mapped[str] = mapped_column(String(24))
    """`page` or `letter`."""
    address: Mapped[str] = mapped_column(String(60))
    """Where the request came from."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def make_link(
    session: Session, referral: Referral, viewer: Viewer, *, hours: int = USUAL_HOURS
) -> tuple[ShareLink, str]:
    """Make a link; its token is returned here once and cannot be shown again.

    Raises:
        BadRequest: too short or too long a time, or the referral is a draft or fell through.
        NotAllowed: the viewer acts for neither hospital.
    """
    _check_side(referral, viewer)
    if not 1 <= hours <= LONGEST_HOURS:
        raise BadRequest(f"{hours} hours; a link lives 1 to {LONGEST_HOURS}")
    if referral.state is ReferralState.DRAFT or referral.state in FALLEN:
        raise BadRequest(f"a referral that is {referral.state.value} is not shared")
    token = secrets.token_urlsafe(32)
    link = ShareLink(
        referral_id=referral.id,
        digest=_digest(token),
        created_by=viewer.username,
        expires_at=now() + timedelta(hours=hours),
        revoked_at=None,
        revoked_by="",
    )
    session.add(link)
    session.flush()
    _record(session, viewer.username, "share.made", referral, link)
    return link, token


def open_link(session: Session, token: str, *, at: datetime | None = None) -> tuple[ShareLink, Referral]:
    """The link with this token and its referral.

    Raises:
        NotFound: unknown, expired or revoked, or the referral fell through; which is not told.
    """
    link = session.scalar(select(ShareLink).where(ShareLink.digest == _digest(token)))
    if link is not None and link.is_open(at or now()):
        referral = session.get_one(Referral, link.referral_id)
        if referral.state not in FALLEN:
            return link, referral
    raise NotFound("the link is not known, has expired or was revoked")


def note_opening(session: Session, link_id: int, what: str, address: str) -> None:
    """Write down that a link was used."""
    link = session.get_one(ShareLink, link_id)
    session.add(ShareOpening(link_id=link_id, what=what, address=clean(address)[:60]))
    referral = session.get_one(Referral, link.referral_id)
    _record(session, f"share link {link_id}", f"share.{what}", referral, link)


def revoke_link(session: Session, referral: Referral, link_id: int, viewer: Viewer) -> None:
    """End a link now; ending it again changes nothing.

    Raises:
        NotAllowed: the viewer acts for neither hospital.
        NotFound: the referral has no such link.
    """
    _check_side(referral, viewer)
    link = session.get(ShareLink, link_id)
    if link is None or link.referral_id != referral.id:
        raise NotFound(f"referral {referral.id} has no link {link_id}")
    if link.revoked_at is None:
        link.revoked_at, link.revoked_by = now(), viewer.username
        session.flush()
        _record(session, viewer.username, "share.revoked", referral, link)


def links_of(session: Session, referral: Referral) -> Sequence[tuple[ShareLink, Sequence[ShareOpening]]]:
    """The referral's links, newest first, each with its newest openings."""
    links = session.scalars(
        select(ShareLink).where(ShareLink.referral_id == referral.id).order_by(ShareLink.id.desc())
    ).all()
    return [(link, _openings(session, link)) for link in links]


def _openings(session: Session, link: ShareLink) -> Sequence[ShareOpening]:
    query = select(ShareOpening).where(ShareOpening.link_id == link.id).order_by(ShareOpening.id.desc())
    return session.scalars(query.limit(SHOWN_OPENINGS)).all()


def _check_side(referral: Referral, viewer: Viewer) -> None:
    if not sides_of(referral, viewer):
        raise NotAllowed("only the two hospitals of the referral share it")


def _record(session: Session, actor: str, action: str, referral: Referral, link: ShareLink) -> None:
    detail: audit.Detail = {**audit_detail(referral), "link": link.id}
    audit.record(session, actor, action, study_id=referral.study_id, detail=detail)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
