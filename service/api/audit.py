"""GET audit: who saw and changed what, for an administrator; and whether the record is whole."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from service import audit
from service.api.access import Administrator, Look, note_read
from service.api.problems import responses
from service.sight import find_own_study

router = APIRouter(prefix="/api/v1", tags=["audit"], responses=responses(401, 403, 422))

StudyUid = Annotated[str | None, Query(max_length=64, description="who saw this study's patient")]
Actor = Annotated[str | None, Query(max_length=100)]
Since = Annotated[AwareDatetime | None, Query()]
Before = Annotated[int | None, Query(ge=1, le=2**53, description="number of the last entry seen")]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/audit", responses=responses(404))
def search_audit(
    request: Request,
    viewer: Administrator,
    session: Look,
    study: StudyUid = None,
    actor: Actor = None,
    since: Since = None,
    before: Before = None,
    limit: Limit = 100,
) -> dict[str, list[dict[str, Any]]]:
    """Who saw and changed what, newest first; studies by number, never a patient."""
    study_id = None if study is None else find_own_study(session, study, viewer).id
    found = audit.search(session, study_id=study_id, actor=actor, since=since, before=before, limit=limit)
    entries = [
        {
            "number": each.id,
            "at": each.at.isoformat(),
            "actor": each.actor,
            "action": each.action,
            "study": each.study_id,
            "detail": each.detail,
        }
        for each in found
    ]
    note_read(request, session, viewer, "audit.read", study_id=study_id, detail={"entries": len(entries)})
    return {"entries": entries}


@router.get("/audit/chain")
def verify_audit(request: Request, viewer: Administrator, session: Look) -> dict[str, Any]:
    """Whether every entry follows from the one before; the head's hash is worth keeping elsewhere."""
    state = audit.verify_chain(session)
    note_read(request, session, viewer, "audit.verify", detail={"entries": state.entries})
    return {"entries": state.entries, "head": state.head, "broken_at": state.broken_at}
