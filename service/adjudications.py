"""Adjudication: two readers differ, and one who has read neither sees both reads and decides; append-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.completeness import Images, Incomplete, check_complete
from labeling.consensus import Consensus, agree
from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.assignments import Assignment, ReadingRound
from service.case_states import CaseState, CaseVerb
from service.cases import Case, move_case
from service.db import Base, Id, UtcDateTime, now
from service.errors import BadRequest, NotFound
from service.reads import Read, dump_label, first_reads, parse_label

LONGEST_PAGE = 200


class Adjudication(Base):
    """What an adjudicator decided; the database refuses to change or delete it."""

    __tablename__ = "adjudications"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    label: Mapped[dict[str, Any]]
    comment: Mapped[str] = mapped_column(Text)
    adjudicator: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Dispute:
    """One case on which readers differ, with their reads; who they are is not shown."""

    case: Case
    reads: tuple[Read, ...]
    consensus: Consensus


def disputes(session: Session, viewer: Viewer, *, limit: int = 50) -> list[Dispute]:
    """Cases that wait for this adjudicator, the oldest first."""
    query = select(Case).where(Case.state == CaseState.READ, Case.id.in_(_of_rounds(session, viewer)))
    query = query.where(~Case.id.in_(_own_reads(viewer))).order_by(Case.id)
    cases = session.scalars(query.limit(max(1, min(limit, LONGEST_PAGE)))).all()
    reads = first_reads(session, [case.id for case in cases])
    return [_dispute(case, reads[case.id]) for case in cases]


def find_dispute(session: Session, viewer: Viewer, number: int, *, lock: bool = False) -> Dispute:
    """One case that waits for this adjudicator.

    Raises:
        NotFound: it does not wait, or not for the viewer, or the viewer has read it.
    """
    query = select(Case).where(
        Case.id == number,
        Case.state == CaseState.READ,
        Case.id.in_(_of_rounds(session, viewer)),
        ~Case.id.in_(_own_reads(viewer)),
    )
    case = session.scalar(query.with_for_update() if lock else query)
    if case is None:
        raise NotFound(f"no case with the number {number} waits to be adjudicated")
    return _dispute(case, first_reads(session, [case.id])[case.id])


def adjudicate(
    session: Session,
    viewer: Viewer,
    number: int,
    entered: dict[str, Any],
    images: Images,
    *,
    comment: str = "",
) -> Adjudication:
    """Decide a case on which readers differ; their reads and the soft labels stay.

    Raises:
        NotFound: see `find_dispute`. BadRequest: the read is not of the schema, or incomplete.
    """
    dispute = find_dispute(session, viewer, number, lock=True)
    label = parse_label(entered)
    try:
        check_complete(label, images)
    except Incomplete as error:
        raise BadRequest(f"the adjudication is not complete: {error}") from None
    made = Adjudication(
        case_id=number, label=dump_label(label), comment=clean(comment), adjudicator=viewer.username
    )
    session.add(made)
    move_case(dispute.case, CaseVerb.ADJUDICATE, CaseState.ADJUDICATED)
    session.flush()
    detail: audit.Detail = {"case": number, "adjudication": made.id}
    audit.record(session, viewer.username, "case.adjudicate", study_id=dispute.case.study_id, detail=detail)
    return made


def adjudication_of(session: Session, case_id: int) -> Adjudication | None:
    """The newest word of an adjudicator on a case."""
    query = select(Adjudication).where(Adjudication.case_id == case_id)
    return session.scalar(query.order_by(Adjudication.id.desc()).limit(1))


def consensus_of(session: Session, case_id: int) -> tuple[Consensus, Sequence[Read], Adjudication | None]:
    """What a case's reads and its adjudication come to."""
    reads = first_reads(session, [case_id])[case_id]
    decided = adjudication_of(session, case_id)
    word = parse_label(decided.label) if decided else None
    return agree([parse_label(read.label) for read in reads], word), reads, decided


def _dispute(case: Case, reads: Sequence[Read]) -> Dispute:
    # an order that tells nothing of who read first, or whose name comes first
    mixed = tuple(sorted(reads, key=lambda read: sha256(f"{case.id} {read.id}".encode()).digest()))
    return Dispute(case, mixed, agree([parse_label(read.label) for read in mixed]))


def _of_rounds(session: Session, viewer: Viewer) -> Any:
    mine = [
        number
        for number, names in session.execute(select(ReadingRound.id, ReadingRound.adjudicators))
        if viewer.username in names
    ]
    return select(Assignment.case_id).where(Assignment.round_id.in_(mine))


def _own_reads(viewer: Viewer) -> Any:
    return select(Assignment.case_id).where(Assignment.reader == viewer.username)
