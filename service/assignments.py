"""Assignment: which reader reads which case, in which order; a round gives out what is eligible."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.assignment import CannotAssign, Design, Purpose, Reader, Turn, assign, hand_over
from labeling.roster import Span, turns_of
from labeling.splits import HELD, Part, Shares
from service import audit
from service.accounts import Permission, Viewer, find_account
from service.case_identities import case_name, parts_of
from service.case_states import CaseState, CaseVerb
from service.cases import Case, move_case
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import BadRequest, NotFound
from service.roles import PERMISSIONS


class ReadingRound(Base):
    """One giving out: by which design, how the data set will be parted, and who adjudicates."""

    __tablename__ = "reading_rounds"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    design: Mapped[dict[str, Any]]
    shares: Mapped[dict[str, Any]]
    adjudicators: Mapped[list[Any]]
    made_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Assignment(Base):
    """One read to be made by one reader; its purpose is never shown to them."""

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("case_id", "reader", "read_no"),
        Index("ix_assignments_reader", "reader", "done_at", "round_id", "place"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("reading_rounds.id"), index=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    reader: Mapped[str] = mapped_column(String(100))
    place: Mapped[int]
    read_no: Mapped[int]
    """1, or 2 for a planned re-read."""
    purpose: Mapped[Purpose] = mapped_column(words(Purpose))
    done_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reader is."""

    reader: str
    done: int
    total: int


def assign_cases(
    session: Session,
    viewer: Viewer,
    readers: Sequence[Reader],
    design: Design,
    shares: Shares,
    *,
    adjudicators: Collection[str] = (),
) -> ReadingRound:
    """Give out every eligible case; those that a held-out patient keeps from the data set stay behind.

    Raises:
        BadRequest: nothing is eligible, somebody may not label, or the numbers do not go together.
        NotFound: no such account.
    """
    for name in [*(reader.name for reader in readers), *adjudicators]:
        _check_reader(session, name)
    taken, parts = _eligible(session, shares), parts_of(session, shares)
    if not taken:
        raise BadRequest("no case is eligible and waits to be given out")
    try:
        turns = assign(
            [case_name(number) for number in taken],
            readers,
            design,
            test={case_name(number) for number in taken if parts[number] in HELD},
            strata={case_name(number): case.hcode or "" for number, case in taken.items()},
        )
    except CannotAssign as error:
        raise BadRequest(str(error)) from None
    return _give_out(session, viewer, asdict(design), shares, adjudicators, turns, taken)


def assign_roster(
    session: Session,
    viewer: Viewer,
    spans: Sequence[Span],
    shares: Shares,
    *,
    adjudicators: Collection[str] = (),
) -> ReadingRound:
    """Give out eligible cases by ranges of their numbers, as a roster has them; the others wait.

    Raises:
        BadRequest: no eligible case is in a range, or somebody may not label. NotFound: no such account.
    """
    for name in [*dict.fromkeys(span.reader for span in spans), *adjudicators]:
        _check_reader(session, name)
    cases = _eligible(session, shares)
    turns = turns_of(spans, cases)
    taken = {int(turn.case): cases[int(turn.case)] for turn in turns}
    if not taken:
        raise BadRequest("no case that is eligible and waits to be given out is in a range of the roster")
    design = {"roster": [[span.reader, span.first, span.last] for span in spans]}
    return _give_out(session, viewer, design, shares, adjudicators, turns, taken)


def _eligible(session: Session, shares: Shares) -> dict[int, Case]:
    """The cases that wait to be given out, by number, locked; none that a held-out patient keeps back."""
    query = select(Case).where(Case.state == CaseState.ELIGIBLE).order_by(Case.id)
    cases = {case.id: case for case in session.scalars(locked(query))}
    parts = parts_of(session, shares)
    return {number: case for number, case in cases.items() if parts[number] is not Part.LEFT_OUT}


def _give_out(
    session: Session,
    viewer: Viewer,
    design: dict[str, Any],
    shares: Shares,
    adjudicators: Collection[str],
    turns: Sequence[Turn],
    taken: Mapping[int, Case],
) -> ReadingRound:
    made = ReadingRound(
        design=design,
        shares={**asdict(shares), "hospitals": list(shares.hospitals)},
        adjudicators=sorted(set(adjudicators)),
        made_by=viewer.username,
    )
    session.add(made)
    session.flush()
    session.add_all(
        Assignment(
            round_id=made.id,
            case_id=int(turn.case),
            reader=turn.reader,
            place=turn.place,
            read_no=turn.read_no,
            purpose=turn.purpose,
        )
        for turn in turns
    )
    for case in taken.values():
        move_case(case, CaseVerb.ASSIGN, CaseState.ASSIGNED)
    session.flush()
    detail: audit.Detail = {
        "round": made.id,
        "cases": len(taken),
        "reads": len(turns),
        "readers": len({turn.reader for turn in turns}),
    }
    audit.record(session, viewer.username, "case.assign", detail=detail)
    return made


def hand_over_reads(
    session: Session, viewer: Viewer, leaver: str, *, to: Collection[str] | None = None, seed: int = 0
) -> tuple[int, int, int]:
    """Pass on what a reader has not read; how many reads moved, fell away, and could not be placed.

    Raises:
        NotFound: the reader has nothing to read. BadRequest: somebody may not label.
    """
    for name in to or ():
        _check_reader(session, name)
    rows = session.scalars(locked(select(Assignment).order_by(Assignment.id))).all()
    rounds = {row.round_id for row in rows if row.reader == leaver and row.done_at is None}
    if not rounds:
        raise NotFound(f"{leaver!r} has nothing left to read")
    moved = dropped = unplaced = 0
    touched = set()
    for number in sorted(rounds):
        mine = {_key(row): row for row in rows if row.round_id == number}
        turns = [Turn(r.reader, r.place, case_name(r.case_id), r.read_no, r.purpose) for r in mine.values()]
        done = {key for key, row in mine.items() if row.done_at is not None}
        after = hand_over(turns, leaver, done=done, to=to, seed=seed)
        for turn in after.moved:
            row = mine[leaver, turn.case, turn.read_no]
            row.reader, row.place = turn.reader, turn.place
        for turn in after.dropped:
            touched.add(int(turn.case))
            session.delete(mine[leaver, turn.case, turn.read_no])
        moved, dropped = moved + len(after.moved), dropped + len(after.dropped)
        unplaced += len(after.unplaced)
    session.flush()
    from service.reads import settle_reads  # reads are of assignments, and import them

    for number in sorted(touched):
        settle_reads(session, session.get_one(Case, number))
    detail: audit.Detail = {"moved": moved, "dropped": dropped, "unplaced": unplaced}
    audit.record(session, viewer.username, "case.hand_over", detail=detail)
    return moved, dropped, unplaced


def next_case(session: Session, viewer: Viewer) -> Assignment | None:
    """The next read of the viewer's own list; None where all are done."""
    query = select(Assignment).where(Assignment.reader == viewer.username, Assignment.done_at.is_(None))
    return session.scalar(query.order_by(Assignment.round_id, Assignment.place).limit(1))


def find_assignment(session: Session, viewer: Viewer, number: int, *, lock: bool = False) -> Assignment:
    """One of the viewer's own reads.

    Raises:
        NotFound: there is none of this number, or it is another's.
    """
    query = select(Assignment).where(Assignment.id == number, Assignment.reader == viewer.username)
    if found := session.scalar(locked(query) if lock else query):
        return found
    raise NotFound(f"no read has the number {number}")


def progress(session: Session, *, reader: str | None = None) -> list[Progress]:
    """How far the readers are, by name; one alone where named."""
    query = select(Assignment.reader, func.count(Assignment.done_at), func.count()).group_by(
        Assignment.reader
    )
    if reader is not None:
        query = query.where(Assignment.reader == reader)
    return [Progress(*row) for row in session.execute(query.order_by(Assignment.reader))]


def reads_made(session: Session, case_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """By case, how many of its reads are made, of how many; a case that was not given out is absent."""
    query = select(Assignment.case_id, func.count(Assignment.done_at), func.count())
    rows = session.execute(query.where(Assignment.case_id.in_(case_ids)).group_by(Assignment.case_id))
    return {case: (done, total) for case, done, total in rows}


def last_round(session: Session) -> ReadingRound | None:
    """The newest round."""
    return session.scalar(select(ReadingRound).order_by(ReadingRound.id.desc()).limit(1))


def shares_of(made: ReadingRound | None) -> Shares:
    """How a round's data set is parted; the defaults where there was no round."""
    if made is None:
        return Shares()
    return Shares(**{**made.shares, "hospitals": tuple(made.shares["hospitals"])})


def _key(row: Assignment) -> tuple[str, str, int]:
    return row.reader, case_name(row.case_id), row.read_no


def _check_reader(session: Session, name: str) -> None:
    account = find_account(session, name)
    if Permission.LABEL not in PERMISSIONS[account.role] or not account.active:
        raise BadRequest(
            f"{name!r} is {account.role.value}{'' if account.active else ', closed'}; may not label"
        )
