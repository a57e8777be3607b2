"""Read: what a reader says of a case, append-only: an edit is a further row. Drafts are kept apart."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ForeignKey, Index, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling.completeness import Images, Incomplete, check_complete
from labeling.consensus import agree
from labeling.labels import Label
from service import audit
from service.accounts import Viewer
from service.assignments import Assignment, find_assignment
from service.case_states import OPEN_TO_EDITS, CaseState, CaseVerb
from service.cases import Case, move_case
from service.db import Base, Id, UtcDateTime, now
from service.errors import BadRequest, NotReady

LABELS: TypeAdapter[Label] = TypeAdapter(Label)


class Read(Base):
    """One complete read; the database refuses to change or delete it."""

    __tablename__ = "reads"
    __table_args__ = (Index("ix_reads_case_id", "case_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), index=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    reader: Mapped[str] = mapped_column(String(100))
    read_no: Mapped[int]
    label: Mapped[dict[str, Any]]
    """`Label`; UIDs are those of the de-identified study."""
    supersedes: Mapped[int | None] = mapped_column(Id)
    """The read of the same reader that this one corrects."""
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ReadDraft(Base):
    """What a reader has entered so far, saved as they go; no read until it is handed in."""

    __tablename__ = "read_drafts"

    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), primary_key=True)
    label: Mapped[dict[str, Any]]
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def save_draft(session: Session, viewer: Viewer, number: int, entered: dict[str, Any]) -> ReadDraft:
    """Keep what was entered so far, whole or not.

    Raises:
        NotFound: it is not the viewer's read. NotReady: the case is closed.
        BadRequest: it is not of the schema; the text names the field.
    """
    assignment = find_assignment(session, viewer, number, lock=True)
    _check_open(session.get_one(Case, assignment.case_id))
    label = dump_label(parse_label(entered))
    draft = session.get(ReadDraft, number)
    if draft is None:
        draft = ReadDraft(assignment_id=number, label=label)
        session.add(draft)
    draft.label, draft.at = label, now()
    session.flush()
    return draft


def draft_of(session: Session, assignment: Assignment) -> ReadDraft | None:
    """What the reader has entered so far."""
    return session.get(ReadDraft, assignment.id)


def save_label(
    session: Session, viewer: Viewer, number: int, entered: dict[str, Any], images: Images
) -> Read:
    """Hand in a read; a second one corrects the first, which stays. The last reader's read settles the case.

    Raises:
        NotFound: it is not the viewer's read. NotReady: the case is closed.
        BadRequest: it is not of the schema, or incomplete; the text names every gap.
    """
    assignment = find_assignment(session, viewer, number, lock=True)
    case = session.get_one(Case, assignment.case_id, with_for_update=True, populate_existing=True)
    _check_open(case)
    label = parse_label(entered)
    try:
        check_complete(label, images)
    except Incomplete as error:
        raise BadRequest(f"the read is not complete: {error}") from None
    draft = session.get(ReadDraft, number)
    before = session.scalar(
        select(Read).where(Read.assignment_id == number).order_by(Read.id.desc()).limit(1)
    )
    read = Read(
        assignment_id=number,
        case_id=case.id,
        reader=viewer.username,
        read_no=assignment.read_no,
        label=dump_label(label),
        supersedes=before.id if before else None,
        started_at=draft.started_at if draft else now(),
    )
    session.add(read)
    if draft:
        session.delete(draft)
    assignment.done_at = assignment.done_at or now()
    session.flush()
    settle_reads(session, case)
    detail: audit.Detail = {"case": case.id, "read": read.id, "supersedes": read.supersedes}
    audit.record(session, viewer.username, "case.read", study_id=case.study_id, detail=detail)
    return read


def settle_reads(session: Session, case: Case) -> None:
    """Move a case on once nobody has to read it any more: agreed, or waiting for an adjudicator."""
    waits = select(Assignment.id).where(
        Assignment.case_id == case.id, Assignment.done_at.is_(None), Assignment.read_no == 1
    )
    labels = [parse_label(read.label) for read in first_reads(session, [case.id])[case.id]]
    if case.state not in OPEN_TO_EDITS or not labels or session.scalar(waits.limit(1)) is not None:
        return
    differ = bool(agree(labels).disputed)
    move_case(case, CaseVerb.READ, CaseState.READ if differ else CaseState.AGREED)
    session.flush()


def first_reads(session: Session, case_ids: Sequence[int]) -> dict[int, list[Read]]:
    """By case, the newest version of every reader's first read; re-reads measure readers, not cases."""
    found: dict[int, list[Read]] = defaultdict(list)
    for read in newest_reads(session, case_ids):
        if read.read_no == 1:
            found[read.case_id].append(read)
    return found


def newest_reads(session: Session, case_ids: Sequence[int] | None = None) -> list[Read]:
    """The newest version of every read, in order of case and reader; of all cases where None."""
    query = select(Read).order_by(Read.case_id, Read.reader, Read.read_no, Read.id)
    if case_ids is not None:
        query = query.where(Read.case_id.in_(case_ids))
    newest = {(read.case_id, read.reader, read.read_no): read for read in session.scalars(query)}
    return list(newest.values())


def parse_label(entered: dict[str, Any]) -> Label:
    """A read from its JSON.

    Raises:
        BadRequest: it is not of the schema; the text names the first fields.
    """
    try:
        return LABELS.validate_python(entered)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'label'}: {each['msg']}" for each in error.errors()[:5]
        )
        raise BadRequest(f"not a read of this schema: {said}") from None


def dump_label(label: Label) -> dict[str, Any]:
    """A read as JSON keeps it."""
    plain: dict[str, Any] = LABELS.dump_python(label, mode="json")
    return plain


def _check_open(case: Case) -> None:
    if case.state not in OPEN_TO_EDITS:
        raise NotReady(f"the case is {case.state.value}; it takes no more reads")
