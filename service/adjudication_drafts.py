"""AdjudicationDraft: what an adjudicator has entered so far; no word until it is handed in."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.accounts import Viewer
from service.adjudications import find_dispute
from service.db import Base, UtcDateTime, now
from service.reads import dump_label, parse_label


class AdjudicationDraft(Base):
    """One adjudicator's draft of one case; gone once any adjudicator has decided it."""

    __tablename__ = "adjudication_drafts"

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    adjudicator: Mapped[str] = mapped_column(String(100), primary_key=True)
    label: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def save_adjudication_draft(
    session: Session, viewer: Viewer, number: int, entered: dict[str, Any]
) -> AdjudicationDraft:
    """Keep what was entered so far of a case that waits for the viewer, whole or not.

    Raises:
        NotFound: it does not wait for the viewer. BadRequest: it is not of the schema; the text says where.
    """
    find_dispute(session, viewer, number, lock=True)
    label = dump_label(parse_label(entered))
    draft = adjudication_draft_of(session, viewer, number)
    if draft is None:
        draft = AdjudicationDraft(case_id=number, adjudicator=viewer.username, label=label)
        session.add(draft)
    draft.label, draft.at = label, now()
    session.flush()
    return draft


def adjudication_draft_of(session: Session, viewer: Viewer, number: int) -> AdjudicationDraft | None:
    """What the viewer has entered so far of a case."""
    return session.get(AdjudicationDraft, (number, viewer.username))


def drop_adjudication_drafts(session: Session, number: int) -> None:
    """Throw every draft of a case away, as it is decided."""
    session.execute(delete(AdjudicationDraft).where(AdjudicationDraft.case_id == number))
