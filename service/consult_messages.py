"""ConsultMessage: what the two sides of a consult write to each other, with the slices that they point to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.consult_states import OPEN
from service.consults import Consult, find_consult, sides_of
from service.db import Base, Id, Json, UtcDateTime, now
from service.errors import BadRequest, IllegalTransition, NotAllowed

LONGEST_TEXT = 4000
MOST_SLICES = 8
LAST_SLICE = 5000


class ConsultMessage(Base):
    """One message."""

    __tablename__ = "consult_messages"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    consult_id: Mapped[int] = mapped_column(ForeignKey("consults.id"), index=True)
    hcode: Mapped[str | None] = mapped_column(String(5))
    """The writer's hospital."""
    written_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    text: Mapped[str] = mapped_column(Text)
    slices: Mapped[list[Any]] = mapped_column(Json, default=list)
    """Numbers of the slices that it shows, 1 the most inferior, as the study's page counts them."""


def write_message(
    session: Session, number: int, viewer: Viewer, text: str, slices: Sequence[int] = ()
) -> ConsultMessage:
    """Write to the other side, with pictures of chosen slices.

    Raises:
        NotFound: see `find_consult`.
        NotAllowed: the viewer acts for neither side.
        IllegalTransition: the consult has ended.
        BadRequest: nothing is said, too much, or a slice that cannot be.
    """
    consult = find_consult(session, number, viewer, lock=True)
    if not sides_of(consult, viewer):
        raise NotAllowed("only those who ask and those who advise write in a consult")
    if consult.state not in OPEN:
        raise IllegalTransition(f"consult {number} is {consult.state.value}: nothing can be written any more")
    text, chosen = clean(text).strip(), list(dict.fromkeys(slices))
    if not text and not chosen:
        raise BadRequest("a message needs words, slices or both")
    if len(text) > LONGEST_TEXT:
        raise BadRequest(f"a message of {len(text)} characters; at most {LONGEST_TEXT} are taken")
    if len(chosen) > MOST_SLICES or any(not 1 <= each <= LAST_SLICE for each in chosen):
        raise BadRequest(f"slices {chosen[:20]}; at most {MOST_SLICES}, each numbered from 1 to {LAST_SLICE}")
    message = ConsultMessage(
        consult_id=consult.id,
        hcode=viewer.hcode,
        written_by=viewer.username,
        at=now(),
        text=text,
        slices=chosen,
    )
    session.add(message)
    session.flush()
    detail: audit.Detail = {"consult": consult.id, "hcode": consult.hcode, "to": consult.to_hcode}
    audit.record(session, viewer.username, "consult.written", study_id=consult.study_id, detail=detail)
    return message


def thread_of(session: Session, consult: Consult) -> Sequence[ConsultMessage]:
    """What was written, oldest first."""
    return session.scalars(
        select(ConsultMessage).where(ConsultMessage.consult_id == consult.id).order_by(ConsultMessage.id)
    ).all()
