"""Letter: a referral on paper, A4, set by typst from a template that an administrator may change.

The AI's part stands in a box of its own that says what it is. The QR code holds the referral's address and
nothing of the patient; who opens it must sign in. A letter keeps the template that stood when the referral
was requested, whatever is changed later.
"""

import json
import logging
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import segno
from sqlalchemy.orm import Session

from service.db import now
from service.findings import analysis_of
from service.forms import Form, shipped_template, version_at
from service.hospital_modes import Mode, mode_of
from service.letter_fonts import letter_fonts
from service.letter_values import Values, letter_values
from service.referral_states import Verb
from service.referral_steps import steps_of
from service.referrals import Referral
from service.storage import NotStored, Storage
from service.studies import Study
from service.typesetting import BrokenTemplate, typeset, typeset_apart
from service.web.words import Language

log = logging.getLogger(__name__)

TEMPLATE = "letter.typ"
"""In the hub's data folder: the operator's own letter, used where no administrator has changed the form."""
VALUES, CODE = "letter.json", "qr.svg"
PICTURES = 3


def referral_letter(
    session: Session,
    referral: Referral,
    storage: Storage,
    *,
    data: Path,
    address: str,
    at: datetime | None = None,
    language: Language = Language.TH,
    form: Form = Form.LETTER,
) -> bytes:
    """The letter as a PDF; the same state of a referral at the same time gives the same bytes.

    Args:
        session: A reading session.
        referral: In any state; a draft says that it is one.
        storage: Where the pictures are.
        data: The hub's data folder: fonts are kept there, and the operator's own template if there is one.
        address: What people type to reach the hub, such as https://hub.example.go.th.
        at: When it is printed; now by default.
        language: Of the labels; what people typed stays as it is.
        form: The letter, or another form of a referral.
    """
    moment = at or now()
    pictures = _pictures(session, referral, storage)
    values = letter_values(session, referral, moment, language) | {"key_slices": list(pictures)}
    return print_form(
        session,
        form,
        values,
        f"{address}/referrals/{referral.id}",
        pictures,
        data=data,
        issued_at=_issued_at(session, referral) or moment,
        at=moment,
    )


def print_form(
    session: Session,
    form: Form,
    values: Values,
    address: str,
    pictures: Mapping[str, bytes],
    *,
    data: Path,
    issued_at: datetime,
    at: datetime,
) -> bytes:
    """A form as a PDF, by the template that counted when it was issued, else by the shipped one."""
    version = version_at(session, form, issued_at)
    typed = version.source if version else ""
    if not typed and form is Form.LETTER and (own := data / TEMPLATE).is_file():
        typed = own.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_files(folder, values, address, pictures)
        fonts = letter_fonts(data / "fonts")
        if typed:
            try:
                return typeset_apart(typed, folder, fonts, at)
            except BrokenTemplate as error:
                # a patient waits: the shipped form now, and the administrator mends the template
                why = _without_patient(str(error), values)
                log.error("a form's template is broken", extra={"form": form.value, "why": why})
                write_files(folder, {**values, "shipped_instead": True}, None, {})
        return typeset(shipped_template(form), folder, fonts, at)


def write_files(folder: Path, values: Values, address: str | None, pictures: Mapping[str, bytes]) -> None:
    """Put what a template reads into its folder; without an address the QR code stays as it is."""
    (folder / VALUES).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
    if address is not None:
        segno.make(address, error="m").save(str(folder / CODE), border=0)
    for name, content in pictures.items():
        (folder / name).write_bytes(content)


def _issued_at(session: Session, referral: Referral) -> datetime | None:
    """When the referral was requested; None for a draft."""
    steps = steps_of(session, referral)
    return next((step.at for step in steps if step.verb is Verb.REQUEST), None)


def _without_patient(message: str, values: Values) -> str:
    """What typst says of a template, unless it repeats something of the patient."""
    told: list[Any] = list(values["patient"].values())
    parts = {part for text in told if isinstance(text, str) for part in text.split() if len(part) > 1}
    return "(it names the patient)" if any(part in message for part in parts) else message


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
