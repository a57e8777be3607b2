"""Alerts over HTTP: what rings, whom it was told with which proof, and to say that one has it."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from service.alert_deliveries import TellState, messages_of
from service.alert_states import AlertState
from service.alerts import Alert, AlertKind, Withdrawal, acknowledge, find_alert, list_alerts
from service.api.access import Look, OnCall, Work, note_read
from service.api.problems import responses
from service.case_numbers import case_number
from service.contacts import Way

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], responses=responses(401, 403, 404, 422, 503))

Number = Annotated[int, Path(ge=1, le=2**53)]


class MessageOut(BaseModel):
    """One message of an alert."""

    hop: int
    corrects: bool
    """It says that what the earlier messages told is not so any more."""
    way: Way
    told: str
    """Username of the person, or code of the hospital."""
    state: TellState
    attempts: int
    proof: str
    """What the other side said when it took it, or why it did not."""
    created_at: datetime
    delivered_at: datetime | None


class AlertOut(BaseModel):
    """One alert; nothing of a patient."""

    id: int
    kind: AlertKind
    state: AlertState
    hospital: str
    hub: str | None = Field(description="the hospital behind it, once that was told too")
    case: str
    path: str
    quiet: str = Field(description="the quiet rule that held it back; empty where none did")
    hop: int = Field(description="how many hops of the ladder were taken")
    raised_at: datetime
    next_at: datetime | None = Field(description="when the next hop is due")
    acknowledged_at: datetime | None
    acknowledged_by: str
    acknowledged_through: str
    withdrawn_at: datetime | None = Field(description="when it was found not to be so any more")
    withdrawn_because: Withdrawal | None


class AlertWithMessages(AlertOut):
    """One alert with whom it was told."""

    messages: list[MessageOut]


class AlertPage(BaseModel):
    """Alerts, newest first; send `next` as `before` for the page that follows."""

    alerts: list[AlertOut]
    next: int | None


@router.get("")
def read_alerts(
    request: Request,
    viewer: OnCall,
    session: Look,
    state: AlertState | None = None,
    hospital: Annotated[str | None, Query(pattern=r"^\d{5}$")] = None,
    before: Annotated[int | None, Query(ge=1, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AlertPage:
    """The alerts that the viewer's hospital was told of, its own and those it stands behind."""
    found = list_alerts(session, viewer, state=state, hcode=hospital, before=before, limit=limit)
    page = [AlertOut(**_columns(each)) for each in found]
    note_read(request, session, viewer, "alert.list", detail={"alerts": len(page)})
    return AlertPage(alerts=page, next=found[-1].id if len(found) == limit else None)


@router.get("/{number}")
def read_alert(request: Request, number: Number, viewer: OnCall, session: Look) -> AlertWithMessages:
    """One alert, whom it was told, and with which proof."""
    alert = find_alert(session, number, viewer)
    made = _with_messages(session, alert)
    note_read(request, session, viewer, "alert.read", study_id=alert.study_id, detail={"alert": number})
    return made


@router.post("/{number}/acknowledge")
def acknowledge_alert(number: Number, viewer: OnCall, session: Work) -> AlertWithMessages:
    """Say that one has it: nobody else is told any more. Of two who say so the first is written down."""
    return _with_messages(session, acknowledge(session, number, viewer))


def _with_messages(session: Session, alert: Alert) -> AlertWithMessages:
    messages = [
        MessageOut.model_validate(each, from_attributes=True) for each in messages_of(session, alert.id)
    ]
    return AlertWithMessages(**_columns(alert), messages=messages)


def _columns(alert: Alert) -> dict[str, Any]:
    same = {name: getattr(alert, name) for name in AlertOut.model_fields if name not in ("hospital", "case")}
    return {**same, "hospital": alert.hcode, "case": case_number(alert.study_id)}
