"""Letter: a referral on paper, A4, set by typst from a template that a hospital may replace.

The AI's part stands in a box of its own that says what it is. The QR code holds the referral's address and
nothing of the patient; who opens it must sign in.
"""

import json
import logging
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import segno
import typst
from sqlalchemy.orm import Session

from model.stroke import Decision
from service.case_numbers import case_number
from service.db import now
from service.findings import analysis_of, findings_of
from service.hospital_modes import Mode, mode_of
from service.hospitals import Hospital, find_hospital
from service.letter_fonts import letter_fonts
from service.referral_details import ReferralDetails, citizen_id_warning
from service.referrals import Referral, details_of
from service.reports import reports_of
from service.reviews import standing_review
from service.signatures import signature_of
from service.storage import NotStored, Storage
from service.studies import Study
from service.web.words import Language, Words

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "data" / "letter.typ"
TEMPLATE = "letter.typ"
"""In the hub's data folder: the hospital's own template."""
PICTURES = 3

Values = Mapping[str, Any]


def referral_letter(
    session: Session,
    referral: Referral,
    storage: Storage,
    *,
    data: Path,
    address: str,
    at: datetime | None = None,
) -> bytes:
    """The letter as a PDF; the same state of a referral at the same time gives the same bytes.

    Args:
        session: A reading session.
        referral: In any state; a draft says that it is one.
        storage: Where the pictures are.
        data: The hub's data folder: fonts are kept there, and the hospital's own template if it has one.
        address: What people type to reach the hub, such as https://hub.example.go.th.
        at: When it is printed; now by default.
    """
    moment = at or now()
    pictures = _pictures(session, referral, storage)
    values = letter_values(session, referral, moment) | {"key_slices": list(pictures)}
    own = data / TEMPLATE
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "letter.json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        segno.make(f"{address}/referrals/{referral.id}", error="m").save(str(folder / "qr.svg"), border=0)
        for name, content in pictures.items():
            (folder / name).write_bytes(content)
        fonts = letter_fonts(data / "fonts")
        if own.is_file():
            try:
                return typeset(own, folder, fonts, moment)
            except typst.TypstError as error:
                # a patient waits: the shipped letter now, and the administrator mends the template
                why = _without_patient(error.message, values)
                log.error("the hospital's letter template is broken", extra={"why": why})
        return typeset(SHIPPED, folder, fonts, moment)


def letter_values(session: Session, referral: Referral, at: datetime) -> dict[str, Any]:
    """What a template gets, in Thai."""
    words, details = Words(Language.TH), details_of(referral)
    study = session.get_one(Study, referral.study_id)
    return {
        "from": hospital_values(find_hospital(session, referral.from_hcode)),
        "to": hospital_values(find_hospital(session, referral.to_hcode)),
        "serial": referral.serial or words("referral.draft"),
        "case": case_number(study.id),
        "urgency": words(f"urgency.{referral.urgency}"),
        "at": words.moment(referral.created_at),
        "printed": words.moment(at),
        "patient": patient_values(study, referral, details, words),
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


def typeset(template: Path, folder: Path, fonts: Path, at: datetime) -> bytes:
    """Set a template with the files in `folder` as a PDF; the same at the same time gives the same bytes.

    Raises:
        typst.TypstError: the template is broken.
    """
    (folder / "main.typ").write_bytes(template.read_bytes())
    made = typst.compile(
        str(folder / "main.typ"),
        root=str(folder),
        font_paths=[str(fonts)],
        ignore_system_fonts=True,
        format="pdf",
        pdf_standards="a-2b",
        timestamp=at.replace(microsecond=0),
    )
    assert isinstance(made, bytes)
    return made


def _without_patient(message: str, values: Values) -> str:
    """What typst says of a template, unless it repeats something of the patient."""
    told = [text for text in values["patient"].values() if isinstance(text, str)]
    parts = {part for text in told for part in text.split() if len(part) > 1}
    return "(it names the patient)" if any(part in message for part in parts) else message


def hospital_values(hospital: Hospital) -> dict[str, str]:
    """What a template gets of a hospital."""
    return {"hcode": hospital.hcode, "name": hospital.name_th, "province": hospital.province_th}


def patient_values(
    study: Study, referral: Referral, details: ReferralDetails, words: Words
) -> dict[str, Any]:
    """What a template gets of the patient, in Thai."""
    age = "" if study.age_years is None else words("worklist.age", years=int(study.age_years))
    sex = {"M": "ชาย", "F": "หญิง"}.get(study.sex, "")
    born = words("letter.born", day=words.day(study.birth_date)) if study.birth_date else ""
    name = next((part for part in study.patient_name.split("=") if part.strip("^ ")), "")
    return {
        "name": " ".join(part for part in name.split("^") if part.strip()) or "–",
        "about": " · ".join(part for part in (sex, age, born) if part),
        "hn": study.patient_id or "–",
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


def _pictures(session: Session, referral: Referral, storage: Storage) -> dict[str, bytes]:
    """The most telling slices by the name of their file; one that storage has lost is left out."""
    study = session.get_one(Study, referral.study_id)
    silent = mode_of(session, study.hcode) is Mode.SILENT
    analysis = None if silent else analysis_of(session, study)
    found: dict[str, bytes] = {}
    for _, key in (analysis.key_slices if analysis else [])[:PICTURES]:
        try:
            with storage.open(key) as file:
                found[f"key-{len(found) + 1}.webp"] = file.read()
        except NotStored:
            log.warning("a key slice is lost", extra={"study": referral.study_id})
    return found
