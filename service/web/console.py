"""The administrators' console: how the hub is, what each hospital hears, and what waits for a person."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request, Response
from sqlalchemy.orm import Session

from service.accounts import count_accounts
from service.alert_budget import AlertBudget, alert_budget, hospitals_with_flags
from service.api.access import Administrator, Look, Work, note_read
from service.api.health import drift_alarms, parts_ready
from service.api.studies import reprocess
from service.certificates import Certificate, list_certificates
from service.circuits import Circuit, list_circuits
from service.db import now
from service.errors import BadRequest
from service.failed_work import failed_work
from service.failed_work import try_again as retry_job
from service.findings import newest_analysis
from service.hospital_modes import Mode, modes, switch_mode
from service.hospitals import Hospital, list_hospitals
from service.models import REGION
from service.moph.messages import FAILED, list_messages
from service.peers import Peer, list_peers
from service.placements import live_in
from service.settings import Settings
from service.states import StudyState
from service.web.page import render, see_other
from service.worklist import count_by_state, worklist

router = APIRouter(include_in_schema=False)

FAILED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class HospitalRow:
    """One hospital: whether the AI speaks there, and how often it was right."""

    hospital: Hospital
    mode: Mode
    switched_by: str
    budget: AlertBudget | None
    """None where nothing was ever flagged."""

    @property
    def tells(self) -> bool:
        """Whether there is more to say than that all is as usual."""
        return self.budget is not None or self.mode is not Mode.LIVE


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One machine that the hub calls, and whether it answers."""

    peer: Peer
    circuit: Circuit | None
    spared: bool
    """Whether nothing is sent to it for now, because it did not answer."""


@router.get("/console")
def show_console(request: Request, viewer: Administrator, session: Look) -> Response:
    """The console; an administrator sees the whole region."""
    settings: Settings = request.app.state.settings
    failed = worklist(session, viewer, state=StudyState.FAILED, limit=FAILED_SHOWN).studies
    certificates, unreadable = _certificates(settings)
    values: dict[str, Any] = {
        "jobs": failed_work(request.app.state.jobs),
        "moph": list_messages(session, viewer, states=FAILED),
        "parts": parts_ready(request.app),
        "states": count_by_state(session),
        "failed": failed,
        "drift": {alarm: n for alarm, n in drift_alarms(request.app, session).items() if n},
        "hospitals": _hospitals(session),
        "peers": _peers(session),
        "package": live.name if (live := live_in(session, REGION)) else settings.model.name,
        "analysis": newest_analysis(session),
        "free_gb": shutil.disk_usage(settings.data).free / 1e9,
        "reserve_gb": settings.disk_reserve_bytes / 1e9,
        "certificates": len(certificates),
        "expiring": [each for each in certificates if each.expires_soon],
        "unreadable": unreadable,
        "accounts": count_accounts(session),
        "modes": list(Mode),
    }
    note_read(request, session, viewer, "console.read", detail={"studies": [each.id for each in failed]})
    return render(request, "console.html", viewer, **values)


@router.post("/console/hospitals/{hcode}/mode")
def switch(
    hcode: Annotated[str, Path(pattern=r"^\d{5}$")],
    mode: Annotated[Mode, Form()],
    request: Request,
    viewer: Administrator,
    session: Work,
) -> Response:
    """Let the AI speak at a hospital, or only watch."""
    switch_mode(session, viewer, hcode, mode)
    return see_other(request, "/console", flash="mode_switched")


@router.post("/console/studies/{uid}/again")
def try_again(
    uid: Annotated[str, Path(max_length=64)], request: Request, viewer: Administrator, session: Work
) -> Response:
    """Analyse a study anew."""
    reprocess(uid, request, viewer, session)
    return see_other(request, "/console", flash="again")


@router.post("/console/jobs/again")
def try_job_again(
    key: Annotated[str, Form(max_length=200)], request: Request, viewer: Administrator, session: Work
) -> Response:
    """Put other work that failed in line again."""
    retry_job(session, viewer, request.app.state.jobs, key)
    return see_other(request, "/console", flash="job_again")


def _hospitals(session: Session) -> Sequence[HospitalRow]:
    """Those that have something to say first."""
    switched, flagged = modes(session), hospitals_with_flags(session)
    rows = []
    for each in list_hospitals(session):
        row = switched.get(each.hcode)
        budget = alert_budget(session, each.hcode) if each.hcode in flagged else None
        rows.append(HospitalRow(each, row.mode if row else Mode.LIVE, row.switched_by if row else "", budget))
    return sorted(rows, key=lambda row: (row.budget is None, row.mode is Mode.LIVE, row.hospital.hcode))


def _peers(session: Session) -> Sequence[PeerRow]:
    known, moment = {each.peer: each for each in list_circuits(session)}, now()
    rows = []
    for peer in list_peers(session):
        circuit = known.get(peer.name)
        until = circuit.open_until if circuit else None
        rows.append(PeerRow(peer, circuit, until is not None and until > moment))
    return rows


def _certificates(settings: Settings) -> tuple[Sequence[Certificate], str]:
    """The certificates, and why they cannot be read; a broken file must not hide the rest of the console."""
    try:
        return list_certificates(settings.tls), ""
    except (BadRequest, OSError) as error:
        return (), str(error)
