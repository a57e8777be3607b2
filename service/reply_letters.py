"""Reply letter: what the receiving hospital answers once the patient's stay is over, on paper, A4.

Set by typst as the referral letter is; the QR code holds the referral's address and nothing of the patient.
"""

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import segno
from sqlalchemy.orm import Session

from service.case_numbers import case_number
from service.errors import NotFound
from service.hospitals import find_hospital
from service.letter_fonts import letter_fonts
from service.letter_values import hospital_values, patient_values
from service.referral_states import ReferralState, Verb
from service.referral_steps import ReferralStep, steps_of
from service.referrals import Referral, details_of, sender_hn
from service.studies import Study
from service.typesetting import typeset
from service.web.words import Language, Words

TEMPLATE: Final = Path(__file__).parent / "data" / "reply.typ"
TIMES: Final = (Verb.REQUEST, Verb.ACCEPT, Verb.DEPART, Verb.ARRIVE, Verb.COMPLETE)


def reply_letter(session: Session, referral: Referral, *, data: Path, address: str) -> bytes:
    """The reply letter as a PDF; the same referral gives the same bytes.

    Args:
        session: A reading session.
        referral: Completed.
        data: The hub's data folder, where fonts are kept.
        address: What people type to reach the hub, such as https://hub.example.go.th.

    Raises:
        NotFound: there is no reply yet.
    """
    steps = steps_of(session, referral)
    completed = replied_at(referral, steps)
    values = reply_values(session, referral, steps)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "reply.json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        segno.make(f"{address}/referrals/{referral.id}", error="m").save(str(folder / "qr.svg"), border=0)
        return typeset(TEMPLATE, folder, letter_fonts(data / "fonts"), completed)


def reply_values(session: Session, referral: Referral, steps: Sequence[ReferralStep]) -> dict[str, Any]:
    """What the template gets, in Thai."""
    words, details = Words(Language.TH), details_of(referral)
    study = session.get_one(Study, referral.study_id)
    last = next(each for each in reversed(steps) if each.verb is Verb.COMPLETE)
    at = {each.verb: each.at for each in steps}
    patient = patient_values(study, referral, details, words, hn=sender_hn(session, referral))
    return {
        "from": hospital_values(find_hospital(session, referral.to_hcode), words),
        "to": hospital_values(find_hospital(session, referral.from_hcode), words),
        "serial": referral.serial or "–",
        "case": case_number(study.id),
        "at": words.moment(last.at),
        "patient": patient,
        "diagnosis": f"{details.diagnosis} ({details.icd10})" if details.icd10 else details.diagnosis,
        "request": details.request,
        "times": [[words(f"verb.{verb.value}"), words.moment(at[verb])] for verb in TIMES if verb in at],
        "reply": referral.reply,
        "by": last.by,
        "doctor": details.doctor,
    }


def replied_at(referral: Referral, steps: Sequence[ReferralStep]) -> datetime:
    """When the reply was written.

    Raises:
        NotFound: there is none.
    """
    if referral.state is ReferralState.COMPLETED and referral.reply:
        return next(each.at for each in reversed(steps) if each.verb is Verb.COMPLETE)
    raise NotFound(f"referral {referral.id} is {referral.state.value}: it has no reply letter")
