"""Reply letter: what the receiving hospital answers once the patient's stay is over, on paper, A4.

Set by typst from a template that an administrator may change, in Thai or English as the referral letter is;
the QR code holds the referral's address and nothing of the patient. Before it is sent, those who write it see
their draft on the same paper, which says that it is one.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.case_numbers import case_number
from service.db import now
from service.errors import NotFound
from service.forms import Form
from service.hospitals import find_hospital
from service.letter_values import LABELS, hospital_values, patient_values
from service.letters import print_form
from service.referral_states import ReferralState, Verb
from service.referral_steps import ReferralStep, steps_of
from service.referrals import Referral, details_of, sender_hn
from service.reply_drafts import ReplyDraft, draft_for
from service.studies import Study
from service.web.words import Language, Words

TIMES: Final = (Verb.REQUEST, Verb.ACCEPT, Verb.DEPART, Verb.ARRIVE, Verb.COMPLETE)


def reply_letter(
    session: Session, referral: Referral, *, data: Path, address: str, language: Language = Language.TH
) -> bytes:
    """The reply letter as a PDF; the same referral gives the same bytes.

    Args:
        session: A reading session.
        referral: Completed.
        data: The hub's data folder, where fonts are kept.
        address: What people type to reach the hub, such as https://hub.example.go.th.
        language: Of the labels; what people typed stays as it is.

    Raises:
        NotFound: there is no reply yet.
    """
    steps = steps_of(session, referral)
    sent = replied_at(referral, steps)
    values = reply_values(session, referral, steps, language)
    return _print(session, referral, values, sent, data=data, address=address)


def drafted_letter(
    session: Session,
    referral: Referral,
    viewer: Viewer,
    *,
    data: Path,
    address: str,
    language: Language = Language.TH,
) -> bytes:
    """What the letter would be if it were sent as it stands; for the hospital that writes it alone.

    Raises:
        NotFound: nobody has begun one, or the viewer is not of that hospital.
    """
    draft = draft_for(session, referral, viewer)
    if draft is None:
        raise NotFound(f"referral {referral.id} is {referral.state.value}: it has no reply letter")
    values = reply_values(session, referral, steps_of(session, referral), language, draft=draft)
    return _print(session, referral, values, now(), data=data, address=address)


def reply_values(
    session: Session,
    referral: Referral,
    steps: Sequence[ReferralStep],
    language: Language = Language.TH,
    *,
    draft: ReplyDraft | None = None,
) -> dict[str, Any]:
    """What the template gets, in the reader's language; only what people typed stays as they wrote it."""
    words, details = Words(language), details_of(referral)
    study = session.get_one(Study, referral.study_id)
    last = next((each for each in reversed(steps) if each.verb is Verb.COMPLETE), None)
    at = {each.verb: each.at for each in steps}
    text, by, moment = (
        (draft.text, draft.by, draft.at)
        if draft
        else (referral.reply, last.by if last else "", last.at if last else None)
    )
    return {
        "lang": language.value,
        "labels": {name: words(f"letter.label.{name}") for name in LABELS},
        "shipped_instead": False,
        "draft": draft is not None,
        "from": hospital_values(find_hospital(session, referral.to_hcode), words),
        "to": hospital_values(find_hospital(session, referral.from_hcode), words),
        "serial": referral.serial or "–",
        "case": case_number(study.id),
        "at": words.moment(moment),
        "patient": patient_values(study, referral, details, words, hn=sender_hn(session, referral)),
        "diagnosis": f"{details.diagnosis} ({details.icd10})" if details.icd10 else details.diagnosis,
        "request": details.request,
        "times": [
            [words(f"referral.{_REACHED[verb]}"), words.moment(at[verb])] for verb in TIMES if verb in at
        ],
        "reply": text,
        "by": by,
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


def _print(
    session: Session, referral: Referral, values: dict[str, Any], at: datetime, *, data: Path, address: str
) -> bytes:
    link = f"{address}/referrals/{referral.id}"
    return print_form(session, Form.REPLY, values, link, {}, data=data, issued_at=at, at=at)


_REACHED: Final = {
    Verb.REQUEST: "requested",
    Verb.ACCEPT: "accepted",
    Verb.DEPART: "departed",
    Verb.ARRIVE: "arrived",
    Verb.COMPLETE: "completed",
}
