"""ReplyDraft: a reply letter being written, kept until it is sent; the sending hospital never sees it."""

from datetime import datetime
from typing import Final

from sqlalchemy import ForeignKey, String, Text, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.db import Base, UtcDateTime, now
from service.errors import BadRequest, Changed, NotFound, NotReady
from service.referral_states import ReferralState, Side, Verb, verbs_of
from service.referrals import Referral, audit_detail, sides_of

LONGEST_REPLY: Final = 4000


class ReplyDraft(Base):
    """What stands so far of one referral's reply."""

    __tablename__ = "reply_drafts"

    referral_id: Mapped[int] = mapped_column(ForeignKey("referrals.id"), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)
    by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


def draft_for(session: Session, referral: Referral, viewer: Viewer) -> ReplyDraft | None:
    """The draft, for the hospital that writes it; None for any other, and once the reply was sent."""
    if Side.RECEIVER not in sides_of(referral, viewer) or referral.state is ReferralState.COMPLETED:
        return None
    return session.get(ReplyDraft, referral.id)


def save_draft(
    session: Session, referral: Referral, viewer: Viewer, text: str, *, seen: int | None = None
) -> ReplyDraft:
    """Keep what stands so far; a colleague may go on with it.

    Args:
        session: A writing session.
        referral: Locked; the patient has arrived.
        viewer: Of the receiving hospital.
        text: The whole of it.
        seen: The version that the viewer began from, 0 for none; None overwrites whatever there is.

    Raises:
        NotFound: the viewer does not act for the receiving hospital.
        NotReady: the reply is not due yet, or was sent.
        Changed: somebody else has gone on with it meanwhile.
        BadRequest: it is too long.
    """
    if Side.RECEIVER not in sides_of(referral, viewer):
        raise NotFound(f"referral {referral.id} has no reply that you may write")
    if Verb.COMPLETE not in verbs_of(referral.state, sides_of(referral, viewer)):
        raise NotReady(f"referral {referral.id} is {referral.state.value}: no reply is being written")
    text = clean(text).replace("\r\n", "\n").strip()
    if len(text) > LONGEST_REPLY:
        raise BadRequest(f"a reply of {len(text)} characters; it may have {LONGEST_REPLY}")
    draft = session.get(ReplyDraft, referral.id)
    if seen is not None and seen != (draft.version if draft else 0):
        raise Changed(
            f"{draft.by if draft else 'somebody'} has gone on with the reply meanwhile; load it again"
        )
    if draft is None:
        draft = ReplyDraft(referral_id=referral.id, text=text, version=1, by=viewer.username, at=now())
        session.add(draft)
    else:
        draft.text, draft.by, draft.at = text, viewer.username, now()
        draft.version += 1
    session.flush()
    detail = audit_detail(referral)
    audit.record(session, viewer.username, "reply.drafted", study_id=referral.study_id, detail=detail)
    return draft


def forget_draft(session: Session, referral: Referral) -> None:
    """It was sent: the reply itself is what counts."""
    session.execute(delete(ReplyDraft).where(ReplyDraft.referral_id == referral.id))
