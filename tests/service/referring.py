"""A referral and the people who move it, for tests."""

from typing import Any

from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Role, Viewer
from service.referral_details import ReferralDetails
from service.referral_steps import accept_referral, request_referral
from service.referrals import Referral, open_draft
from service.studies import Study
from tests.service.factories import UDON, analysed

SMALL, SAKON = "11014", "10710"
"""A community hospital in Udon Thani's province, and a provincial one elsewhere."""

SENDER = Viewer("sender", Role.REFERRER, SMALL)
RECEIVER = Viewer("receiver", Role.SPECIALIST, UDON)
STRANGER = Viewer("stranger", Role.SPECIALIST, SAKON)
REGION = Viewer("region", Role.SPECIALIST, None)
OUTSIDERS = (STRANGER, Viewer("technician", Role.TECHNICIAN, UDON), Viewer("ml", Role.ML, None))


def details(**changes: Any) -> ReferralDetails:
    values: dict[str, Any] = {
        "diagnosis": "ICH, right basal ganglia",
        "icd10": "I61.0",
        "request": "neurosurgical opinion",
        "doctor": "Dr. A",
        "licence": "12345",
        "gcs": 13,
        "nihss": 9,
    }
    return ReferralDetails.model_validate({**values, **changes})


def small_study(session: Session, uid: str = "1.2.3", *flagged: StrokeType) -> Study:
    return analysed(session, uid, *(flagged or (StrokeType.ANY_ICH,)), hcode=SMALL)


def draft(session: Session, study: Study | None = None, *, to: str = UDON, **changes: Any) -> Referral:
    study = study or small_study(session)
    values: dict[str, Any] = {"urgency": 2, "details": details()}
    return open_draft(session, study, SENDER, to=to, **{**values, **changes})


def requested(session: Session, study: Study | None = None, **changes: Any) -> Referral:
    referral = draft(session, study, **changes)
    request_referral(session, referral, SENDER, version=None)
    return referral


def accepted(session: Session, study: Study | None = None, *, hn: str = "", **changes: Any) -> Referral:
    referral = requested(session, study, **changes)
    accept_referral(session, referral, RECEIVER, hn=hn, version=None)
    return referral
