"""A batch of answers taken row by row: each is a case that was screened at once, or has a reason why not."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from labeling.batch import BadBatch, BatchRow, Fault, read_batch
from labeling.wording import Both
from pacs_gateway.pseudonyms import Key
from service import audit
from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.case_states import CaseState
from service.cases import admit_case
from service.db import session_scope
from service.errors import AlreadyExists, BadRequest, HubError, NotAllowed, NotFound, NotReady, TooLarge
from service.reports import ReportSource, add_report, reports_of
from service.sight import find_own_study
from service.studies import Study

LARGEST: Final = 8_000_000
"""Bytes of one batch."""
AT_ONCE: Final = 25
"""Rows of one transaction: others write in between."""

_CODES: Final = {
    NotFound: ("not_found", Both("ไม่พบการตรวจนี้ในโรงพยาบาลของท่าน", "no such study at your hospital")),
    NotReady: ("arriving", Both("ภาพยังเข้ามาไม่ครบ", "its images are still arriving")),
    AlreadyExists: (
        "given_out",
        Both("กรณีนี้มอบให้ผู้อ่านแล้ว คำตอบเดิมคงอยู่", "the case has been given to readers; its answers stay"),
    ),
}


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row."""

    number: int
    study_instance_uid: str
    case: int | None
    state: CaseState | None
    fault: Fault | None


def admit_batch(
    engine: Engine, viewer: Viewer, content: bytes, key: Key, *, only_check: bool = False
) -> list[RowOutcome]:
    """Take every row that can be taken; the same batch again answers the same cases anew.

    Args:
        engine: The database; rows are written 25 at a time.
        viewer: Who answers, for their own hospital.
        content: See `labeling.batch.read_batch`.
        key: The secret behind every key.
        only_check: Say what would become of the rows, and keep nothing.

    Raises:
        BadRequest: the file cannot be read as a whole. TooLarge: over 8 MB.
        NotAllowed: the account belongs to no hospital.
    """
    if viewer.hcode is None:
        raise NotAllowed("this account belongs to no hospital, so nobody could tell whose patients these are")
    if len(content) > LARGEST:
        raise TooLarge(f"a batch of {len(content)} bytes; {LARGEST} is the most")
    try:
        rows = read_batch(content)
    except BadBatch as error:
        raise BadRequest(str(error)) from None
    outcomes: list[RowOutcome] = []
    for start in range(0, len(rows), AT_ONCE):
        with session_scope(engine) as session:
            whole = session.begin_nested()
            outcomes += [_admit(session, viewer, row, key) for row in rows[start : start + AT_ONCE]]
            if only_check:
                whole.rollback()
    with session_scope(engine) as session:
        detail: audit.Detail = {
            "rows": len(outcomes),
            "refused": sum(each.fault is not None for each in outcomes),
            "kept": "no" if only_check else "yes",
        }
        audit.record(session, viewer.username, "case.batch", detail=detail)
    return outcomes


def _admit(session: Session, viewer: Viewer, row: BatchRow, key: Key) -> RowOutcome:
    if row.fault is not None:
        return RowOutcome(row.number, "", None, None, row.fault)
    attempt = session.begin_nested()
    try:
        study = _study(session, viewer, row)
        if row.report and clean(row.report).strip() not in [each.text for each in reports_of(session, study)]:
            add_report(session, study, viewer, row.report, source=ReportSource.PASTED)
        uid = study.study_instance_uid
        case = admit_case(session, viewer, uid, row.answers, key, citizen_id=row.citizen_id)
        attempt.commit()
    except HubError as refusal:
        attempt.rollback()
        return RowOutcome(row.number, row.study_uid, None, None, _fault(refusal))
    return RowOutcome(row.number, uid, case.id, case.state, None)


def _study(session: Session, viewer: Viewer, row: BatchRow) -> Study:
    """The study that a row names.

    Raises:
        NotFound: none at the viewer's hospital. BadRequest: several.
    """
    if row.study_uid:
        return find_own_study(session, row.study_uid, viewer)
    query = select(Study).where(visible_to(viewer, Study.hcode))
    if row.accession_number:
        query = query.where(Study.accession_number == clean(row.accession_number))
    else:
        query = query.where(Study.patient_id == clean(row.hn), Study.study_date == row.ct_date)
    found = session.scalars(query.limit(2)).all()
    if not found:
        raise NotFound("no such study")
    if len(found) > 1:
        raise BadRequest("several studies of the hospital are meant; name one by its study_uid")
    return found[0]


def _fault(refusal: HubError) -> Fault:
    for kind, (code, text) in _CODES.items():
        if isinstance(refusal, kind):
            return Fault(code, text)
    return Fault("refused", Both(f"ใช้ไม่ได้: {refusal.message}", refusal.message))
