"""Blindness: who is to read a case sees nothing of its study by another way, until they have read it.

A case may be a patient of now. So a reader who needs the study for care may open it: then the blind read
goes to somebody else, and that is written down.
"""

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import Session

from labeling.assignment import Turn, hand_over
from service import audit
from service.accounts import Permission, Viewer
from service.assignments import Assignment
from service.case_identities import case_name
from service.cases import Case
from service.db import locked
from service.errors import NotFound
from service.reads import ReadDraft, settle_reads
from service.studies import Study


def open_reads(viewer: Viewer) -> Select[int]:
    """The numbers of the studies that the viewer has still to read blind."""
    return (
        select(Case.study_id)
        .join(Assignment, Assignment.case_id == Case.id)
        .where(Assignment.reader == viewer.username, Assignment.done_at.is_(None))
    )


def not_blind(viewer: Viewer) -> ColumnElement[bool]:
    """The condition on `Study` that leaves out what the viewer has still to read blind."""
    return Study.id.not_in(open_reads(viewer)) if viewer.may(Permission.LABEL) else true()


def is_blind(session: Session, viewer: Viewer, study: Study) -> bool:
    """Whether the viewer has still to read the study blind."""
    if not viewer.may(Permission.LABEL):
        return False
    query = open_reads(viewer).where(Case.study_id == study.id)
    return session.scalar(query.limit(1)) is not None


def blind_studies(session: Session, viewer: Viewer) -> frozenset[int]:
    """The studies that the viewer has still to read blind."""
    if not viewer.may(Permission.LABEL):
        return frozenset()
    return frozenset(session.scalars(open_reads(viewer)))


def blind_uids(session: Session, viewer: Viewer) -> frozenset[str]:
    """Their Study Instance UIDs."""
    if not (numbers := blind_studies(session, viewer)):
        return frozenset()
    return frozenset(session.scalars(select(Study.study_instance_uid).where(Study.id.in_(numbers))))


def give_up_blindness(session: Session, viewer: Viewer, study_instance_uid: str) -> int:
    """Open a study for care: the viewer's blind reads of it go to others, or fall away.

    Returns:
        How many reads were given up.

    Raises:
        NotFound: the viewer has no blind read of such a study.
    """
    rows = session.scalars(
        locked(
            select(Assignment)
            .join(Case, Case.id == Assignment.case_id)
            .join(Study, Study.id == Case.study_id)
            .where(
                Study.study_instance_uid == study_instance_uid,
                Assignment.reader == viewer.username,
                Assignment.done_at.is_(None),
            )
        )
    ).all()
    if not rows:
        raise NotFound("you have no blind read of this study")
    case = session.get_one(Case, rows[0].case_id)
    for row in rows:
        _pass_on(session, row)
    session.flush()
    settle_reads(session, case)
    detail: audit.Detail = {"case": case.id, "reads": len(rows)}
    audit.record(session, viewer.username, "case.unblind", study_id=case.study_id, detail=detail)
    return len(rows)


def _pass_on(session: Session, row: Assignment) -> None:
    """Give one read to another reader of the round who has not had the case, else let it fall away."""
    query = select(Assignment).where(Assignment.round_id == row.round_id)
    mine = {(r.reader, case_name(r.case_id), r.read_no): r for r in session.scalars(query)}
    turns = [Turn(r.reader, r.place, case_name(r.case_id), r.read_no, r.purpose) for r in mine.values()]
    own = (row.reader, case_name(row.case_id), row.read_no)
    after = hand_over(turns, row.reader, done=set(mine) - {own})
    if draft := session.get(ReadDraft, row.id):
        session.delete(draft)
        session.flush()
    for turn in after.moved:
        row.reader, row.place = turn.reader, turn.place
    if not after.moved:
        session.delete(row)
