"""What the templates of letters get: a referral's rows as words in the reader's language, data as written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from model.stroke import Decision
from service.case_numbers import case_number
from service.findings import analysis_of, findings_of
from service.hospital_modes import Mode, mode_of
from service.hospitals import Hospital, find_hospital
from service.referral_details import ReferralDetails, citizen_id_warning
from service.referrals import Referral, details_of, sender_hn
from service.reports import reports_of
from service.reviews import standing_review
from service.signatures import signature_of
from service.studies import Study
from service.web.words import Language, Words

Values = Mapping[str, Any]
LABELS: Final = (
    "title",
    "title_other",
    "from",
    "to",
    "province",
    "number",
    "case",
    "urgency",
    "open",
    "patient",
    "check",
    "right",
    "citizen_id",
    "reasons",
    "condition",
    "reading",
    "ai",
    "ai_none",
    "ai_model",
    "pictures",
    "doctor",
    "licence",
    "telephone",
    "printed",
    "page",
    "shipped",
    "stroke_title",
    "stroke_title_other",
    "stroke_times",
    "stroke_blanks",
    "stroke_checks",
    "stroke_ticks",
    "stroke_handed",
    "reply_title",
    "reply_title_other",
    "reply_number",
    "reply_why",
    "reply_diagnosis",
    "reply_request",
    "reply_care",
    "reply_times",
    "reply_by",
    "reply_dear",
    "reply_draft",
)
"""The template's own words, `letter.label.*` of the text files."""


def letter_values(
    session: Session, referral: Referral, at: datetime, language: Language = Language.TH
) -> dict[str, Any]:
    """What a letter's template gets; only what people typed stays in the language they wrote it in."""
    words, details = Words(language), details_of(referral)
    study = session.get_one(Study, referral.study_id)
    return {
        "lang": language.value,
        "labels": {name: words(f"letter.label.{name}") for name in LABELS},
        "shipped_instead": False,
        "from": hospital_values(find_hospital(session, referral.from_hcode), words),
        "to": hospital_values(find_hospital(session, referral.to_hcode), words),
        "serial": referral.serial or words("referral.draft"),
        "case": case_number(study.id),
        "urgency": words(f"urgency.{referral.urgency}"),
        "at": words.moment(referral.created_at),
        "printed": words.moment(at),
        "patient": patient_values(study, referral, details, words, hn=sender_hn(session, referral)),
        "texts": [
            [words(f"detail.{name}"), text]
            for name in ("diagnosis", "request", "history", "treatment")
            if (text := _text(details, name))
        ],
        "told": _told(details, referral.created_at, words),
        "ai": _ai(session, study, words),
        **_reader(session, study, words),
        "doctor": {
            "name": details.doctor,
            "licence": details.licence,
            "telephone": details.telephone,
        },
    }


def hospital_values(hospital: Hospital, words: Words) -> dict[str, str]:
    """What a template gets of a hospital; `full` is the name with the word hospital."""
    thai = words.language is Language.TH
    name = hospital.name_th if thai else hospital.name_en
    return {
        "hcode": hospital.hcode,
        "name": name,
        "full": words("letter.hospital", name=name),
        "province": hospital.province_th if thai else hospital.province_en,
    }


def patient_values(
    study: Study, referral: Referral, details: ReferralDetails, words: Words, *, hn: str
) -> dict[str, Any]:
    """What a template gets of the patient; `hn` is the number at the hospital that refers."""
    age = "" if study.age_years is None else words("worklist.age", years=int(study.age_years))
    sex = words(f"letter.sex.{study.sex}") if study.sex in ("M", "F") else ""
    born = words("letter.born", day=words.day(study.birth_date)) if study.birth_date else ""
    name = next((part for part in study.patient_name.split("=") if part.strip("^ ")), "")
    return {
        "name": " ".join(part for part in name.split("^") if part.strip()) or "–",
        "about": " · ".join(part for part in (sex, age, born) if part),
        "hn": hn or "–",
        "hn_there": referral.receiver_hn,
        "citizen_id": details.citizen_id,
        "warns": citizen_id_warning(details.citizen_id),
        "right": details.right,
    }


def _text(details: ReferralDetails, name: str) -> str:
    text = str(getattr(details, name))
    return f"{text} ({details.icd10})" if name == "diagnosis" and details.icd10 else text


def _told(details: ReferralDetails, at: datetime, words: Words) -> list[list[str]]:
    """Pairs of label and value; what was not told is left out, but for the anticoagulant."""
    rows: list[list[str]] = []
    for name in ("onset_at", "last_known_well_at"):
        if moment := getattr(details, name):
            hours = (at - moment).total_seconds() / 3600
            before = words("letter.before", hours=f"{hours:.1f}")
            rows.append([words(f"detail.{name}"), f"{words.moment(moment)} ({before})"])
    if details.systolic is not None or details.diastolic is not None:
        pressure = "/".join(
            "?" if part is None else str(part) for part in (details.systolic, details.diastolic)
        )
        rows.append([words("detail.bp"), f"{pressure} mmHg"])
    scores = {
        "NIHSS": details.nihss,
        "GCS": details.gcs,
        words("detail.glucose"): details.glucose,
        "INR": details.inr,
        words("detail.platelets"): details.platelets,
    }
    rows += [[label, str(value)] for label, value in scores.items() if value is not None]
    rows.append([words("detail.anticoagulant"), words(f"anticoagulant.{details.anticoagulant.value}")])
    if details.last_dose_at:
        rows.append([words("detail.last_dose_at"), words.moment(details.last_dose_at)])
    if details.care:
        rows.append([words("detail.care"), ", ".join(words(f"care.{each.value}") for each in details.care)])
    for name in ("allergies", "escort"):
        if text := getattr(details, name):
            rows.append([words(f"detail.{name}"), text])
    return rows


def _ai(session: Session, study: Study, words: Words) -> dict[str, Any]:
    silent = mode_of(session, study.hcode) is Mode.SILENT
    analysis = None if silent else analysis_of(session, study)
    found = findings_of(session, analysis) if analysis else []
    said = [
        [
            words(f"stroke.{each.stroke_type.value}"),
            # "not found" would read as absent to who holds only the paper
            words("letter.clear" if each.decision is Decision.CLEAR else f"decision.{each.decision.value}")
            + ("" if each.probability is None else f" ({each.probability:.0%})"),
        ]
        for each in found
    ]
    reasons = [] if silent else study.reasons
    said += [[words("study.refused_because"), words(f"refusal.{reason}")] for reason in reasons]
    return {
        "words": said,
        "model": analysis.model_name if analysis else "",
        "use": words("hub.intended_use"),
    }


def _reader(session: Session, study: Study, words: Words) -> dict[str, str]:
    analysis = analysis_of(session, study)
    review = standing_review(session, analysis) if analysis else None
    reports = reports_of(session, study)
    reader = ""
    if review is not None:
        signature = signature_of(session, review)
        present = ", ".join(words(f"stroke.{kind}") for kind in review.present)
        by = words(
            "review.signed" if signature else "review.by",
            name=signature.signer if signature else review.reviewer,
            moment=words.moment(signature.at if signature else review.at),
        )
        reader = " · ".join(part for part in (words(f"verdict.{review.verdict.value}"), present, by) if part)
    return {"reader": reader, "report": reports[0].text if reports else ""}
