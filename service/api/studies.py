"""GET studies and results; POST the request to analyse again."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime

from model.stroke import StrokeType
from service.api.access import Look, Reader, Reprocessor, Work, note_read
from service.api.problems import responses
from service.api.schemas import (
    UID_EXAMPLE,
    PageOut,
    ReprocessOut,
    StudyOut,
    study_out,
)
from service.db import after_commit
from service.errors import NotFound, NotReady, Unavailable
from service.findings import analysis_of
from service.flags import flags_of
from service.results import result
from service.sight import find_own_study, find_study
from service.states import StudyState
from service.storage import NotStored
from service.studies import reopen
from service.worklist import LONGEST_PAGE, read_cursor, worklist, write_cursor

router = APIRouter(prefix="/api/v1/studies", tags=["studies"], responses=responses(401, 403, 404, 422, 503))

Uid = Annotated[str, Path(max_length=64, examples=[UID_EXAMPLE], description="Study Instance UID")]


@router.get("")
def list_studies(
    request: Request,
    viewer: Reader,
    session: Look,
    hospital: Annotated[str | None, Query(pattern=r"^\d{5}$", examples=["10671"])] = None,
    state: StudyState | None = None,
    finding: Annotated[StrokeType | None, Query(description="stands flagged")] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="first slice received then or later, with time zone")
    ] = None,
    after: Annotated[str | None, Query(description="`next` of the page before", max_length=80)] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
) -> PageOut:
    """One page of the worklist: unread flags first, then abstentions, then all else; newest first."""
    page = worklist(
        session,
        viewer,
        hcode=hospital,
        state=state,
        finding=finding,
        since=since,
        after=None if after is None else read_cursor(after),
        limit=limit,
    )
    ids = [study.id for study in page.studies]
    flags = flags_of(session, ids)
    note_read(request, session, viewer, "study.list", detail={"studies": ids})
    return PageOut(
        studies=[study_out(study, flags[study.id], viewer) for study in page.studies],
        next=None if page.next is None else write_cursor(page.next),
    )


@router.get("/{uid}")
def read_study(uid: Uid, request: Request, viewer: Reader, session: Look) -> StudyOut:
    """One study."""
    study = find_study(session, uid, viewer)
    flags = flags_of(session, [study.id])[study.id]
    note_read(request, session, viewer, "study.read", study_id=study.id)
    return study_out(study, flags, viewer)


@router.get("/{uid}/result")
def read_result(uid: Uid, request: Request, viewer: Reader, session: Look) -> dict[str, Any]:
    """What is said of the study: findings, or the reasons why it is not assessed; never nothing.

    `of` lists the stroke types that the answer is about; `not_assessed` those of which nothing is said.
    """
    study = find_study(session, uid, viewer)
    answer = result(session, study)
    for each in answer["key_slices"]:
        each["url"] = f"{router.prefix}/{uid}/key-slices/{each['n']}.webp"
    note_read(request, session, viewer, "result.read", study_id=study.id)
    return answer


@router.post("/{uid}/reprocess", status_code=202, responses=responses(409))
def reprocess(uid: Uid, request: Request, viewer: Reprocessor, session: Work) -> ReprocessOut:
    """Analyse again what is there, as a new revision; a study that is already waiting is only put in line."""
    enqueue = request.app.state.enqueue
    if enqueue is None:
        raise Unavailable("no queue is connected to this process")
    study = find_own_study(session, uid, viewer)
    if study.revision == 0:
        raise NotReady("the study is still being received")
    if study.state is not StudyState.READY:
        reopen(session, study, actor=viewer.username)
    number, revision = study.id, study.revision
    after_commit(session, lambda: enqueue(number, revision))
    return ReprocessOut(study_instance_uid=uid, revision=revision, state=study.state)


@router.get(
    "/{uid}/key-slices/{n}.webp",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}, "description": "The picture"}},
)
def read_key_slice(uid: Uid, n: int, request: Request, viewer: Reader, session: Look) -> Response:
    """The nth most telling slice (1 is the first), with what is suspected outlined; not for diagnosis."""
    study = find_study(session, uid, viewer)
    analysis = analysis_of(session, study)
    pictures = analysis.key_slices if analysis else []
    if not 1 <= n <= len(pictures):
        raise NotFound(f"the study has {len(pictures)} key slices; there is no number {n}")
    try:
        with request.app.state.storage.open(pictures[n - 1][1]) as file:
            content = file.read()
    except NotStored:
        raise NotFound(f"the picture of key slice {n} is no longer kept") from None
    note_read(request, session, viewer, "key_slice.read", study_id=study.id, detail={"n": n})
    return Response(content, media_type="image/webp")
