"""The form that refers a patient from a study: what the hub knows is filled in, hospitals come in order."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Permission, Viewer
from service.api.access import Browser, Look, Work, note_read
from service.capabilities import Capability
from service.case_numbers import case_number
from service.condition import Anticoagulant
from service.consult_details import ConsultDetails, Onset
from service.consults import list_consults
from service.destinations import Destination, rank_destinations, usual_needs
from service.errors import BadRequest, NotAllowed
from service.findings import analysis_of
from service.flags import flags_of
from service.hospitals import hospital_names
from service.referral_details import Care, ReferralDetails
from service.referral_steps import last_contact, request_referral
from service.referrals import may_refer, open_draft
from service.reviews import standing_review
from service.sight import find_study
from service.studies import Study
from service.web.fields import as_field, checked, thai_moment
from service.web.page import render, see_other, words_of
from service.web.words import Language

router = APIRouter(include_in_schema=False)

Uid = Annotated[str, Path(max_length=64)]
OFFERED = 6
"""Hospitals that are shown with their reasons; the others are in a list behind them."""
ICD10: Mapping[StrokeType, str] = {
    StrokeType.SAH: "I60.9",
    StrokeType.SDH: "I62.0",
    StrokeType.EDH: "I62.1",
    StrokeType.IVH: "I61.5",
    StrokeType.IPH: "I61.9",
    StrokeType.ANY_ICH: "I61.9",
    StrokeType.HYPERDENSE_ARTERY: "I63.9",
    StrokeType.ACUTE_ISCHAEMIA: "I63.9",
}
"""In the order in which one is proposed; the doctor decides. Standards 4.1."""


@router.get("/studies/{uid}/refer")
def show_form(uid: Uid, entry: Browser, request: Request, session: Look) -> Response:
    """The form, filled in as far as the hub knows."""
    viewer = entry.chosen().must(Permission.REFER)
    study = find_study(session, uid, viewer)
    if not may_refer(session, study, viewer):
        raise NotAllowed("only the hospital where the patient is refers them")
    present, confirmed = _present(session, study)
    words = words_of(request)
    named = ", ".join(words(f"stroke.{kind.value}") for kind in present)
    needs = usual_needs(present)
    values: dict[str, Any] = {
        "study": study,
        "case": case_number(study.id),
        "needs": needs,
        "capabilities": list(Capability),
        "ranked": _ranked(session, study, viewer, needs),
        "offered": OFFERED,
        "diagnosis": named if confirmed or not named else words("refer.suspected", what=named),
        "icd10": next((code for kind, code in ICD10.items() if kind in present), ""),
        "urgency": 2 if present else 3,
        "told": _told_before(session, study, viewer),
        "contact": last_contact(session, viewer.username),
        "anticoagulants": list(Anticoagulant),
        "cares": list(Care),
        "names": _names(session, request),
    }
    note_read(request, session, viewer, "study.read", study_id=study.id)
    return render(request, "refer.html", viewer, **values)


@router.get("/studies/{uid}/refer/destinations")
def show_destinations(
    uid: Uid,
    entry: Browser,
    request: Request,
    session: Look,
    need: Annotated[list[Capability] | None, Query()] = None,
) -> Response:
    """The hospitals alone, in their order for other needs."""
    viewer = entry.chosen().must(Permission.REFER)
    study = find_study(session, uid, viewer)
    ranked = _ranked(session, study, viewer, need or [])
    note_read(request, session, viewer, "destination.list", study_id=study.id)
    return render(request, "destinations.html", viewer, ranked=ranked, offered=OFFERED)


@router.post("/studies/{uid}/refer")
def send_form(
    uid: Uid,
    entry: Browser,
    request: Request,
    session: Work,
    to: Annotated[str, Form(pattern=r"^(\d{5})?$")] = "",
    other: Annotated[str, Form(pattern=r"^(\d{5})?$")] = "",
    urgency: Annotated[int, Form(ge=1, le=5)] = 2,
    need: Annotated[list[Capability] | None, Form()] = None,
    diagnosis: Annotated[str, Form(max_length=200)] = "",
    icd10: Annotated[str, Form(max_length=8)] = "",
    request_text: Annotated[str, Form(max_length=4000)] = "",
    history: Annotated[str, Form(max_length=4000)] = "",
    treatment: Annotated[str, Form(max_length=4000)] = "",
    onset_at: Annotated[str, Form(max_length=20)] = "",
    last_known_well_at: Annotated[str, Form(max_length=20)] = "",
    last_dose_at: Annotated[str, Form(max_length=20)] = "",
    nihss: Annotated[str, Form(max_length=8)] = "",
    gcs: Annotated[str, Form(max_length=8)] = "",
    systolic: Annotated[str, Form(max_length=8)] = "",
    diastolic: Annotated[str, Form(max_length=8)] = "",
    glucose: Annotated[str, Form(max_length=8)] = "",
    inr: Annotated[str, Form(max_length=8)] = "",
    platelets: Annotated[str, Form(max_length=8)] = "",
    anticoagulant: Annotated[str, Form(max_length=20)] = "unknown",
    allergies: Annotated[str, Form(max_length=200)] = "",
    care: Annotated[list[Care] | None, Form()] = None,
    escort: Annotated[str, Form(max_length=200)] = "",
    right: Annotated[str, Form(max_length=200)] = "",
    citizen_id: Annotated[str, Form(max_length=20)] = "",
    doctor: Annotated[str, Form(max_length=200)] = "",
    licence: Annotated[str, Form(max_length=200)] = "",
    telephone: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Refer the patient: the chosen hospital is asked at once."""
    viewer = entry.chosen().must(Permission.REFER)
    study = find_study(session, uid, viewer)
    told = {
        "diagnosis": diagnosis,
        "icd10": icd10,
        "request": request_text,
        "history": history,
        "treatment": treatment,
        "onset_at": thai_moment(onset_at) if onset_at.strip() else None,
        "last_known_well_at": thai_moment(last_known_well_at) if last_known_well_at.strip() else None,
        "last_dose_at": thai_moment(last_dose_at) if last_dose_at.strip() else None,
        "anticoagulant": anticoagulant,
        "allergies": allergies,
        "care": care or [],
        "escort": escort,
        "right": right,
        "citizen_id": citizen_id,
        "doctor": doctor,
        "licence": licence,
        "telephone": telephone,
    }
    numbers = (nihss, gcs, systolic, diastolic, glucose, inr, platelets)
    names = ("nihss", "gcs", "systolic", "diastolic", "glucose", "inr", "platelets")
    told |= {name: text.strip() for name, text in zip(names, numbers, strict=True) if text.strip()}
    if not (chosen := other or to):
        raise BadRequest("choose the hospital to which the patient is referred")
    referral = open_draft(
        session,
        study,
        viewer,
        to=chosen,
        urgency=urgency,
        needs=need or [],
        details=checked(ReferralDetails, told),
    )
    request_referral(session, referral, viewer, version=None)
    return see_other(request, f"/referrals/{referral.id}", flash="referred")


def _present(session: Session, study: Study) -> tuple[list[StrokeType], bool]:
    """What is there: by the radiologist's word where there is one, else as the AI suspects."""
    analysis = analysis_of(session, study)
    review = standing_review(session, analysis) if analysis else None
    if review is not None and review.present:
        return [StrokeType(each) for each in review.present], True
    return [StrokeType(each) for each in flags_of(session, [study.id])[study.id]], False


def _told_before(session: Session, study: Study, viewer: Viewer) -> dict[str, Any]:
    """The patient's condition as the newest consult about the study tells it, by the names of the form."""
    consults = (
        list_consults(session, viewer, study_id=study.id, limit=1) if viewer.may(Permission.ASK) else []
    )
    if not consults:
        return {}
    asked = ConsultDetails.model_validate(consults[0].details)
    told: dict[str, Any] = {
        name: value
        for name in ("nihss", "gcs", "systolic", "diastolic", "glucose", "inr")
        if (value := getattr(asked, name)) is not None
    }
    told["anticoagulant"] = asked.anticoagulant.value
    if asked.last_dose_at:
        told["last_dose_at"] = as_field(asked.last_dose_at)
    if asked.onset_at:
        well = asked.onset is not Onset.WITNESSED
        told["last_known_well_at" if well else "onset_at"] = as_field(asked.onset_at)
    return told


def _ranked(
    session: Session, study: Study, viewer: Viewer, needs: Sequence[Capability]
) -> Sequence[Destination]:
    hcode = viewer.hcode if viewer.hcode and not viewer.sees_region else study.hcode
    if hcode is None:
        raise BadRequest("nobody knows yet which hospital the study comes from")
    return rank_destinations(session, hcode, needs)


def _names(session: Session, request: Request) -> dict[str, str]:
    return hospital_names(session, thai=words_of(request).language is Language.TH)
