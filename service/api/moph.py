"""The ministry over HTTP: the 43 files for hospitals that upload by hand, keys and messages of MOPH Refer."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.access import Administrator, IdentityReader, Look, Work, note_read
from service.api.problems import responses
from service.audit import Detail
from service.db import now
from service.moph.days import days_in_thailand
from service.moph.files import write_files
from service.moph.keys import LONGEST_KEY, NReferKey, drop_keys, list_keys, set_keys
from service.moph.messages import (
    SHOWN,
    MessageKind,
    MessageState,
    MophMessage,
    list_messages,
    send_again,
)
from service.moph.reading import read_refer, refers_of
from service.referrals import find_referral

router = APIRouter(prefix="/api/v1", tags=["moph"], responses=responses(401, 403, 404, 422, 503))

Number = Annotated[int, Path(ge=1, le=2**53, description="the referral's row number")]
Hospital = Annotated[str, Path(pattern=r"^\d{5}$")]
ZIP = {200: {"content": {"application/zip": {}}, "description": "The files"}}


class KeysIn(BaseModel):
    """What the ministry gave a hospital."""

    model_config = ConfigDict(extra="forbid")

    api_key: str = Field(min_length=1, max_length=LONGEST_KEY)
    secret_key: str = Field(min_length=1, max_length=LONGEST_KEY)


class KeysOut(BaseModel):
    """That a hospital has keys; the keys are not shown again."""

    hospital: str
    since: datetime
    """Referrals that changed from then on are sent."""
    set_by: str


class MessageOut(BaseModel):
    """One record on its way to MOPH Refer."""

    number: int
    referral: int
    kind: MessageKind
    hospital: str
    """Whose keys it goes by."""
    state: MessageState
    reason: str
    attempts: int
    next_at: datetime | None
    """When it is tried again; null once it is over."""
    sent_at: datetime | None


@router.get("/moph/keys")
def read_keys(viewer: Administrator, session: Look) -> list[KeysOut]:
    """Hospitals whose referrals are sent to MOPH Refer."""
    return [_keys_out(each) for each in list_keys(session)]


@router.put("/moph/keys/{hcode}")
def put_keys(hcode: Hospital, body: KeysIn, viewer: Administrator, session: Work) -> KeysOut:
    """Give a hospital its keys: its referrals are sent from now on."""
    return _keys_out(set_keys(session, viewer, hcode, api_key=body.api_key, secret_key=body.secret_key))


@router.delete("/moph/keys/{hcode}", status_code=204)
def delete_keys(hcode: Hospital, viewer: Administrator, session: Work) -> None:
    """Take them away; nothing of this hospital is sent any more."""
    drop_keys(session, viewer, hcode)


@router.get("/moph/messages")
def read_messages(
    request: Request,
    viewer: IdentityReader,
    session: Look,
    state: MessageState | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = SHOWN,
) -> list[MessageOut]:
    """What was told, or is to be told, to MOPH Refer, newest first."""
    states = [state] if state else []
    found = list_messages(session, viewer, states=states, before=before, limit=limit)
    answer = [_message_out(each) for each in found]
    note_read(request, session, viewer, "moph.list", detail={"messages": len(answer)})
    return answer


@router.post("/moph/messages/{number}/retry", status_code=202)
def retry_message(
    number: Annotated[int, Path(ge=1, le=2**53)], viewer: Administrator, session: Work
) -> MessageOut:
    """Send one that was refused or given up again."""
    return _message_out(send_again(session, viewer, number))


@router.get("/hospitals/{hcode}/43-files.zip", response_class=Response, responses=ZIP)  # type: ignore[arg-type]
def read_files_of_hospital(
    hcode: Hospital,
    request: Request,
    viewer: IdentityReader,
    session: Look,
    since: Annotated[date, Query(description="first day, in Thailand")],
    until: Annotated[date, Query(description="last day, in Thailand")],
) -> Response:
    """REFER_HISTORY, CLINICAL_, CARE_ and INVESTIGATION_REFER, REFER_RESULT of what changed on these days."""
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


def _keys_out(keys: NReferKey) -> KeysOut:
    return KeysOut(hospital=keys.hcode, since=keys.since, set_by=keys.set_by)


def _message_out(message: MophMessage) -> MessageOut:
    return MessageOut(
        number=message.id,
        referral=message.referral_id,
        kind=message.kind,
        hospital=message.hcode,
        state=message.state,
        reason=message.reason,
        attempts=message.attempts,
        next_at=message.next_at if message.state is MessageState.WAITING else None,
        sent_at=message.sent_at,
    )


def _zip(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/zip", headers=headers)
