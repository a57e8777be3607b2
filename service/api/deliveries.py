"""Deliveries over HTTP: what was sent where, what waits and why; and to have it sent again."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service import circuits
from service.api.access import Administrator, Look, Reader, Work, note_read
from service.api.problems import responses
from service.api.schemas import UID_EXAMPLE
from service.db import now
from service.deliveries import Delivery, DeliveryState, Purpose, send_again
from service.delivery_lists import find_delivery, list_deliveries
from service.delivery_orders import order_delivery
from service.sight import find_own_study
from service.studies import load_study

router = APIRouter(
    prefix="/api/v1/deliveries", tags=["deliveries"], responses=responses(401, 403, 404, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=2**53)]


class ItemOut(BaseModel):
    """One instance and what became of it."""

    sop_instance_uid: str
    kind: str
    outcome: str
    """`stored`, or why not; empty while it is on its way."""


class DeliveryOut(BaseModel):
    """One delivery."""

    id: int
    study_instance_uid: str
    revision: int
    peer: str
    purpose: Purpose
    state: DeliveryState
    reason: str
    attempts: int
    items: list[ItemOut]
    created_at: datetime
    next_at: datetime | None = Field(description="when it is tried again; null once it is over")
    give_up_at: datetime
    sent_at: datetime | None
    committed_at: datetime | None


class DeliveryIn(BaseModel):
    """What is to be sent, and to whom."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"study": UID_EXAMPLE, "peer": "udon-pacs"}]}
    )

    study: str = Field(max_length=64)
    peer: str = Field(max_length=60)


class DeliveryPage(BaseModel):
    """Deliveries, newest first, and where the next page starts."""

    deliveries: list[DeliveryOut]
    next: int | None


class CircuitOut(BaseModel):
    """A destination that is being spared because it did not answer."""

    peer: str
    failures: int
    open_until: datetime | None
    last_error: str
    last_success_at: datetime | None


@router.get("")
def read_deliveries(
    request: Request,
    viewer: Reader,
    session: Look,
    study: Annotated[str | None, Query(max_length=64, description="Study Instance UID")] = None,
    peer: Annotated[str | None, Query(max_length=60)] = None,
    state: DeliveryState | None = None,
    before: Annotated[int | None, Query(ge=1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeliveryPage:
    """What was sent, to whom, and how it stands."""
    number = None if study is None else find_own_study(session, study, viewer).id
    found = list_deliveries(
        session, viewer, study_id=number, peer=peer, state=state, before=before, limit=limit
    )
    page = [delivery_out(delivery, uid) for delivery, uid in found]
    last = found[-1][0].id if len(found) == limit else None
    note_read(request, session, viewer, "delivery.list", study_id=number, detail={"deliveries": len(page)})
    return DeliveryPage(deliveries=page, next=last)


@router.get("/circuits")
def read_circuits(viewer: Administrator, session: Look) -> list[CircuitOut]:
    """Destinations that do not answer, and when they are tried again."""
    return [
        CircuitOut.model_validate(each, from_attributes=True)
        for each in circuits.open_circuits(session, now())
    ]


@router.get("/{number}")
def read_delivery(request: Request, number: Number, viewer: Reader, session: Look) -> DeliveryOut:
    """One delivery with every instance in it."""
    delivery = find_delivery(session, number, viewer)
    study = load_study(session, delivery.study_id, lock=False)
    note_read(request, session, viewer, "delivery.read", study_id=study.id, detail={"delivery": delivery.id})
    return delivery_out(delivery, study.study_instance_uid)


@router.post("", status_code=202, responses=responses(409))
def create_delivery(body: DeliveryIn, viewer: Administrator, session: Work) -> DeliveryOut:
    """Send a study's result as it stands to a peer, at once."""
    study = find_own_study(session, body.study, viewer)
    delivery = order_delivery(session, study, body.peer, viewer.username)
    return delivery_out(delivery, study.study_instance_uid)


@router.post("/{number}/retry", status_code=202)
def retry_delivery(number: Number, viewer: Administrator, session: Work) -> DeliveryOut:
    """Send it (again), at once, whatever became of it; also what was sent before."""
    delivery = find_delivery(session, number, viewer)
    send_again(session, delivery, viewer.username)
    return delivery_out(delivery, load_study(session, delivery.study_id).study_instance_uid)


def delivery_out(delivery: Delivery, study_instance_uid: str) -> DeliveryOut:
    """A row as the API shows it."""
    return DeliveryOut(
        id=delivery.id,
        study_instance_uid=study_instance_uid,
        revision=delivery.revision,
        peer=delivery.peer,
        purpose=delivery.purpose,
        state=delivery.state,
        reason=delivery.reason,
        attempts=delivery.attempts,
        items=[ItemOut(**{name: item[name] for name in ItemOut.model_fields}) for item in delivery.items],
        created_at=delivery.created_at,
        next_at=delivery.next_at if delivery.state is DeliveryState.WAITING else None,
        give_up_at=delivery.give_up_at,
        sent_at=delivery.sent_at,
        committed_at=delivery.committed_at,
    )
