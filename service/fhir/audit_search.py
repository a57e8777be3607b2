"""Reading and searching AuditEvents, for administrators."""

from collections.abc import Sequence
from datetime import UTC, datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session

from service import audit
from service.accounts import Viewer
from service.audit import AuditEntry
from service.errors import BadSyntax, NotFound
from service.fhir.audit_event import audit_event
from service.fhir.criteria import Criteria
from service.fhir.page import Page
from service.sight import find_own_study
from service.studies import Study
from service.thai_time import THAILAND


def read_event(session: Session, number: str) -> Page:
    """One entry of the audit log.

    Raises:
        NotFound: there is none of that number.
    """
    wanted = int(number) if number.isdecimal() and len(number) < 19 else 0
    entry = session.get(AuditEntry, wanted)
    if entry is None:
        raise NotFound(f"no AuditEvent {number!r}")
    return _page(session, [entry], None)


def search_events(session: Session, viewer: Viewer, criteria: Criteria) -> Page:
    """Entries, newest first, narrowed by actor, study and first day.

    Raises:
        BadSyntax: a comparison of days other than `ge`, or ids beside something else.
        NotFound: the study is not there.
    """
    if criteria.ids is not None:
        if criteria.references or criteria.strings or criteria.days:
            raise BadSyntax("AuditEvents are asked for by _id alone, or by what they are about")
        numbers = [int(each) for each in criteria.ids if each.isdecimal() and len(each) < 19]
        query = select(AuditEntry).where(AuditEntry.id.in_(numbers)).order_by(AuditEntry.id.desc())
        return _page(session, session.scalars(query).all(), None)
    entities, names = criteria.references.get("entity", ()), criteria.strings.get("agent-name", ())
    if len(entities) > 1 or len(names) > 1:
        raise BadSyntax("one entity and one agent-name at a time")
    study_id = find_own_study(session, entities[0], viewer).id if entities else None
    found = audit.search(
        session,
        study_id=study_id,
        actor=names[0] if names else None,
        since=_since(criteria),
        before=criteria.after,
        limit=criteria.count + 1,
    )
    shown = found[: criteria.count]
    return _page(session, shown, shown[-1].id if len(found) > len(shown) else None)


def _since(criteria: Criteria) -> datetime | None:
    days = criteria.days.get("date", ())
    if any(each.prefix != "ge" for each in days):
        raise BadSyntax("AuditEvents are narrowed by date=geYYYY-MM-DD only")
    latest = max((each.low for each in days), default=None)
    return None if latest is None else datetime.combine(latest, time(), THAILAND).astimezone(UTC)


def _page(session: Session, entries: Sequence[AuditEntry], after: int | None) -> Page:
    numbers = {each.study_id for each in entries if each.study_id is not None}
    rows = session.execute(select(Study.id, Study.study_instance_uid).where(Study.id.in_(numbers)))
    uids = {number: uid for number, uid in rows}
    return Page([audit_event(each, uids.get(each.study_id or 0)) for each in entries], next=after)
