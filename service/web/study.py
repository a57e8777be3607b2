"""One study for its reader: key slices first, what the AI says and why, the review, and what went where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.api.access import Browser, Look, Work, note_read
from service.blindness import give_up_blindness
from service.consults import list_consults
from service.db import now
from service.deliveries import Delivery
from service.errors import BadRequest, StillBlind
from service.findings import Analysis, Finding, analysis_of, findings_of
from service.hospital_modes import Mode, mode_of
from service.hospital_thresholds import named_thresholds
from service.hospitals import find_hospital, hospital_names
from service.milestones import TYPED, Milestone
from service.patient_search import other_studies
from service.priors import sources_of
from service.referrals import list_referrals, may_refer
from service.reports import ReportSource, add_report, reports_of
from service.reviews import UNDO_WITHIN, review_finding, standing_review, withdraw_review
from service.series import Series, series_of, stack_of
from service.sight import find_own_study, find_study, owns
from service.signatures import ReportStatus, report_status, sign_review, signature_of
from service.states import RESULTS
from service.studies import Study
from service.timeline import spans_of, timeline_of
from service.verdicts import Hindrance, Place, Side, Verdict
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Uid = Annotated[str, Path(max_length=64)]
SURE, LIKELY = 0.9, 0.5
"""Probabilities from which a finding is called very likely, and likely."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One slice of the probability strip."""

    number: int
    """1 is the most inferior."""
    probability: float
    address: str
    """Of the slice drawn as a picture."""


@router.get("/studies/{uid}")
def show_study(uid: Uid, entry: Browser, request: Request, session: Look) -> Response:
    """The study's page; to who has it to read blind, only that."""
    viewer = entry.chosen().must(Permission.READ_STUDIES)
    try:
        return _show(request, session, viewer, uid)
    except StillBlind:
        note_read(request, session, viewer, "case.blind")
        return render(request, "blind.html", viewer, status=StillBlind.status, uid=uid)


@router.post("/studies/{uid}/unblind")
def unblind(uid: Uid, entry: Browser, request: Request, session: Work) -> Response:
    """Open the study for care: the blind read goes to somebody else."""
    viewer = entry.chosen().must(Permission.LABEL)
    give_up_blindness(session, viewer, uid)
    return see_other(request, f"/studies/{uid}", flash="unblinded")


@router.post("/studies/{uid}/review")
def review(
    uid: Uid,
    entry: Browser,
    request: Request,
    session: Work,
    verdict: Annotated[Verdict, Form()],
    present: Annotated[list[StrokeType] | None, Form()] = None,
    side: Annotated[str, Form(max_length=10)] = "",
    first: Annotated[str, Form(max_length=4)] = "",
    last: Annotated[str, Form(max_length=4)] = "",
    hindrance: Annotated[Hindrance | None, Form()] = None,
    comment: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Agree, correct, or say why nobody can judge it."""
    viewer = entry.chosen().must(Permission.REVIEW)
    named = list(present or ()) if verdict is Verdict.CORRECT else []
    places = [
        Place(kind, Side(side) if side else None, _slice(first), _slice(last))
        for kind in named
        if side or first or last
    ]
    review_finding(
        session,
        find_own_study(session, uid, viewer),
        viewer,
        verdict,
        present=named,
        places=places,
        hindrance=hindrance if verdict is Verdict.NOT_ASSESSABLE else None,
        comment=comment,
    )
    return see_other(request, f"/studies/{uid}", flash="reviewed")


@router.post("/studies/{uid}/undo")
def undo(uid: Uid, entry: Browser, request: Request, session: Work) -> Response:
    """Take one's own review back."""
    viewer = entry.chosen().must(Permission.REVIEW)
    withdraw_review(session, find_own_study(session, uid, viewer), viewer)
    return see_other(request, f"/studies/{uid}", flash="undone")


@router.post("/studies/{uid}/sign")
def sign(uid: Uid, entry: Browser, request: Request, session: Work) -> Response:
    """Sign the review that stands; the final report goes out."""
    viewer = entry.chosen().must(Permission.REVIEW)
    study = find_own_study(session, uid, viewer)
    sign_review(session, study, viewer)
    return see_other(request, f"/studies/{uid}", flash="signed")


@router.post("/studies/{uid}/report")
def report(
    uid: Uid,
    entry: Browser,
    request: Request,
    session: Work,
    text: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """Add the final report."""
    viewer = entry.chosen().must(Permission.REVIEW)
    study = find_own_study(session, uid, viewer)
    add_report(session, study, viewer, text, source=ReportSource.TYPED)
    return see_other(request, f"/studies/{uid}", flash="reported")


def _slice(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal():
        raise BadRequest(f"{text!r} is no slice; they are numbered from 1")
    return int(text) - 1


def _show(request: Request, session: Session, viewer: Viewer, uid: str) -> Response:
    study = find_study(session, uid, viewer)
    analysis, timeline = analysis_of(session, study), timeline_of(session, study)
    standing = standing_review(session, analysis) if analysis else None
    bars = _bars(study, analysis) if analysis else []
    named = viewer.may(Permission.READ_IDENTITY)
    findings = findings_of(session, analysis) if analysis else []
    values: dict[str, Any] = {
        "study": study,
        "named": named,
        "hospital": find_hospital(session, study.hcode) if study.hcode else None,
        "silent": mode_of(session, study.hcode) is Mode.SILENT,
        "analysis": analysis,
        "findings": [(f, _likelihood(f)) for f in findings],
        "thresholds": named_thresholds(session, [f.threshold_id for f in findings]),
        "notes": analysis.notes if analysis else study.notes,
        "bars": bars,
        "stack": [each.address for each in bars] or stack_addresses(study, series_of(session, study.id)),
        "review": standing,
        "signature": signature_of(session, standing) if standing else None,
        "final": analysis is not None and report_status(session, analysis) is ReportStatus.FINAL,
        "undoable": bool(
            standing and standing.reviewer == viewer.username and now() - standing.at < UNDO_WITHIN
        ),
        "reviewable": viewer.may(Permission.REVIEW) and owns(viewer, study) and study.state in RESULTS,
        "agreeable": analysis is not None and analysis.decision.value in ("flag", "clear"),
        "deliveries": _deliveries(session, study),
        "reports": reports_of(session, study) if named else [],
        "others": other_studies(session, viewer, study) if named else [],
        "names": hospital_names(session, thai=words_of(request).language is Language.TH) if named else {},
        "archives": bool(named and owns(viewer, study) and study.patient_id and sources_of(session, study)),
        "timeline": timeline.values(),
        "spans": spans_of(timeline),
        "typed": [each for each in Milestone if each in TYPED] if named else [],
        "granted": not owns(viewer, study),
        "types": list(StrokeType),
        "sides": list(Side),
        "hindrances": list(Hindrance),
        "asks": viewer.may(Permission.ASK) and study.hcode is not None and study.hcode == viewer.hcode,
        "consults": list_consults(session, viewer, study_id=study.id) if viewer.may(Permission.ASK) else [],
        "refers": may_refer(session, study, viewer),
        "referrals": list_referrals(session, viewer, study_id=study.id) if named else [],
        "full_viewer": _full_viewer(request, study, analysis),
    }
    note_read(request, session, viewer, "study.read", study_id=study.id)
    return render(request, "study.html", viewer, **values)


def _likelihood(finding: Finding) -> str:
    if finding.probability is None:
        return "none"
    return (
        "sure" if finding.probability >= SURE else "likely" if finding.probability >= LIKELY else "unlikely"
    )


def _bars(study: Study, analysis: Analysis) -> list[Bar]:
    place = f"/dicomweb/studies/{study.study_instance_uid}/series/{analysis.series_instance_uid}/instances"
    seen: dict[str, int] = {}
    bars = []
    for number, each in enumerate(analysis.slices, start=1):
        uid = each["sop_instance_uid"]
        seen[uid] = seen.get(uid, 0) + 1
        highest = max(each["probabilities"].values(), default=0.0)
        bars.append(Bar(number, highest, f"{place}/{uid}/frames/{seen[uid]}/rendered"))
    return bars


def slice_addresses(session: Session, study: Study) -> list[str]:
    """Where each slice of the study is drawn, the most inferior first, as its page counts them."""
    analysis = analysis_of(session, study)
    bars = _bars(study, analysis) if analysis else []
    return [each.address for each in bars] or stack_addresses(study, series_of(session, study.id))


def stack_addresses(study: Study, series: Sequence[Series]) -> list[str]:
    """Where the images of a study that was not analysed are drawn; of a file with many frames the first."""
    stack = stack_of(series)
    if stack is None:
        return []
    place = f"/dicomweb/studies/{study.study_instance_uid}/series/{stack[0]}/instances"
    return [f"{place}/{instance}/frames/1/rendered" for instance in stack[1]]


def _full_viewer(request: Request, study: Study, analysis: Analysis | None) -> str | None:
    """Where OHIF opens the study, on its most telling slice; None where OHIF is not installed."""
    if not study.revision or not (request.app.state.settings.viewer / "index.html").is_file():
        return None
    asked = {"StudyInstanceUIDs": study.study_instance_uid}
    if analysis and analysis.key_slices:
        telling = analysis.slices[analysis.key_slices[0][0]]["sop_instance_uid"]
        asked |= {"initialSeriesInstanceUID": analysis.series_instance_uid, "initialSopInstanceUID": telling}
    return f"/viewer/viewer?{urlencode(asked)}"


def _deliveries(session: Session, study: Study) -> Sequence[Delivery]:
    return session.scalars(
        select(Delivery).where(Delivery.study_id == study.id).order_by(Delivery.id.desc()).limit(20)
    ).all()
