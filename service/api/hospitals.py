"""Hospitals: who they are, whether the AI speaks there, and how often it was right."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.alert_budget import alert_budget
from service.api.access import Administrator, Look, Reader, SignedIn, Work
from service.api.problems import responses
from service.errors import NotFound
from service.hospital_modes import HospitalMode, Mode, mode_of, modes, switch_mode
from service.hospitals import Hospital, find_hospital, list_hospitals

router = APIRouter(
    prefix="/api/v1/hospitals", tags=["hospitals"], responses=responses(401, 403, 404, 422, 503)
)

Hcode = Annotated[str, Path(pattern=r"^\d{5}$", examples=["10671"])]


class HospitalOut(BaseModel):
    """One hospital of the region."""

    hcode: str
    name_th: str
    name_en: str
    province_th: str
    province_en: str
    ct_scanners: int
    mode: Mode


class ModeIn(BaseModel):
    """What the AI shall do at a hospital."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode


class ModeOut(BaseModel):
    """What the AI does at a hospital, and who switched it."""

    hcode: str
    mode: Mode
    switched_by: str
    at: datetime


class AlertBudgetOut(BaseModel):
    """How often the AI flags here, and how often it was right."""

    hcode: str
    mode: Mode
    flags: int
    days: int
    flags_per_day: float
    reviewed: int
    right: int
    positive_predictive_value: float | None


@router.get("")
def list_all(viewer: SignedIn, session: Look) -> Sequence[HospitalOut]:
    """The hospitals of the region."""
    switched = modes(session)
    return [_hospital_out(each, switched.get(each.hcode)) for each in list_hospitals(session)]


@router.get("/{hcode}/alert-budget")
def read_alert_budget(hcode: Hcode, viewer: Reader, session: Look) -> AlertBudgetOut:
    """Flags a day, and of the newest flags that were judged, how many were right."""
    _own(session, viewer, hcode)
    budget = alert_budget(session, hcode)
    return AlertBudgetOut(
        hcode=hcode,
        mode=mode_of(session, hcode),
        flags=budget.flags,
        days=budget.days,
        flags_per_day=budget.flags_per_day,
        reviewed=budget.reviewed,
        right=budget.right,
        positive_predictive_value=budget.positive_predictive_value,
    )


@router.post("/{hcode}/mode", status_code=201)
def change_mode(hcode: Hcode, body: ModeIn, viewer: Administrator, session: Work) -> ModeOut:
    """Let the AI speak at a hospital (live), or only watch (silent): no push to its PACS, no alert."""
    row = switch_mode(session, viewer, hcode, body.mode)
    return ModeOut(hcode=row.hcode, mode=row.mode, switched_by=row.switched_by, at=row.at)


def _own(session: Session, viewer: Viewer, hcode: str) -> None:
    if not viewer.sees_region and viewer.hcode != hcode:
        raise NotFound(f"no hospital has the code {hcode!r}")
    find_hospital(session, hcode)


def _hospital_out(hospital: Hospital, switched: HospitalMode | None) -> HospitalOut:
    return HospitalOut(
        hcode=hospital.hcode,
        name_th=hospital.name_th,
        name_en=hospital.name_en,
        province_th=hospital.province_th,
        province_en=hospital.province_en,
        ct_scanners=hospital.ct_scanners,
        mode=switched.mode if switched else Mode.LIVE,
    )
