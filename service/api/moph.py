"""The ministry's files over HTTP: a hospital's referrals as the 43 files, for those that upload by hand."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from service.api.access import IdentityReader, Look, note_read
from service.api.problems import responses
from service.audit import Detail
from service.db import now
from service.moph.days import days_in_thailand
from service.moph.files import write_files
from service.moph.reading import read_refer, refers_of
from service.referrals import find_referral

router = APIRouter(prefix="/api/v1", tags=["moph"], responses=responses(401, 403, 404, 422, 503))

Number = Annotated[int, Path(ge=1, le=2**53, description="the referral's row number")]
ZIP = {200: {"content": {"application/zip": {}}, "description": "The files"}}


@router.get("/hospitals/{hcode}/43-files.zip", response_class=Response, responses=ZIP)  # type: ignore[arg-type]
def read_files_of_hospital(
    hcode: Annotated[str, Path(pattern=r"^\d{5}$")],
    request: Request,
    viewer: IdentityReader,
    session: Look,
    since: Annotated[date, Query(description="first day, in Thailand")],
    until: Annotated[date, Query(description="last day, in Thailand")],
) -> Response:
    """REFER_HISTORY, CLINICAL_REFER, INVESTIGATION_REFER and REFER_RESULT of what changed on these days."""
    start, end = days_in_thailand(since, until)
    sent, received = refers_of(session, viewer, hcode, since=start, until=end)
    content = write_files(sent, received, now())
    detail: Detail = {"hospital": hcode, "sent": len(sent), "received": len(received)}
    note_read(request, session, viewer, "moph.export", detail=detail)
    return _zip(content, f"F43_{hcode}_{since:%Y%m%d}_{until:%Y%m%d}.zip")


@router.get("/referrals/{number}/43-files.zip", response_class=Response, responses=ZIP)  # type: ignore[arg-type]
def read_files_of_referral(
    number: Number, request: Request, viewer: IdentityReader, session: Look
) -> Response:
    """The same of one referral: the viewer's own hospital's side of it."""
    referral = find_referral(session, number, viewer)
    refer = read_refer(session, referral)
    sends = viewer.sees_region or viewer.hcode == referral.from_hcode
    receives = viewer.sees_region or viewer.hcode == referral.to_hcode
    content = write_files([refer] if sends else [], [refer] if receives else [], now())
    note_read(request, session, viewer, "moph.export", study_id=referral.study_id)
    return _zip(content, f"F43_{referral.from_hcode}_{referral.serial}.zip")


def _zip(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/zip", headers=headers)
