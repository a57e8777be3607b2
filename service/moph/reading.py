"""Reading: a referral's rows as the values that the ministry's records are made of."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.capabilities import Capability
from service.errors import BadRequest, NotFound
from service.findings import analysis_of
from service.milestones import Milestone
from service.moph.refers import HeadCt, Origin, Outcome, Refer
from service.referral_states import FALLEN, ReferralState, Verb
from service.referral_steps import ReferralStep, steps_of
from service.referrals import HERE, Referral, details_of, seen_by, sender_hn
from service.reports import reports_of
from service.reviews import standing_review
from service.studies import Study
from service.timeline import timeline_of
from service.web.words import Language, Words

OF_STROKE = frozenset({Capability.THROMBOLYSIS, Capability.THROMBECTOMY})
"""Who asks for one of these asks for the treatment of a stroke."""
LONGEST_EXPORT = 2000
UNNAMED_CT = "CT head"


def read_refer(session: Session, referral: Referral) -> Refer:
    """The values of one referral.

    Raises:
        NotFound: it was never requested, so it has no number.
    """
    if referral.serial is None:
        raise NotFound(f"referral {referral.id} was not requested yet: it has no number")
    study = session.get_one(Study, referral.study_id)
    steps = {step.verb: step for step in steps_of(session, referral)}
    came = _came(session, referral)
    timeline = timeline_of(session, study)
    door = timeline.get(Milestone.DOOR) if study.hcode == referral.from_hcode else None
    scan = timeline.get(Milestone.SCAN)
    report = next(iter(reports_of(session, study)), None)
    return Refer(
        referid=referral.serial,
        hospcode=referral.from_hcode,
        destination=referral.to_hcode,
        referred_at=steps[Verb.REQUEST].at,
        updated_at=referral.changed_at,
        urgency=referral.urgency,
        hn=sender_hn(session, referral),
        served_at=door.at if door else None,
        details=details_of(referral),
        origin=_origin(session, referral, came),
        sends_back=came is not None and came.from_hcode == referral.to_hcode,
        stroke=_is_stroke(session, study, referral),
        ct=HeadCt(
            at=scan.at if scan else None,
            name=study.study_description or UNNAMED_CT,
            report=report.text if report else "",
            reported_at=report.at if report else None,
        ),
        outcome=_outcome(referral, steps),
    )


def refers_of(
    session: Session, viewer: Viewer, hcode: str, *, since: datetime, until: datetime
) -> tuple[Sequence[Refer], Sequence[Refer]]:
    """What a hospital sent, and what it was sent, that changed from `since` until before `until`.

    Raises:
        NotFound: the viewer is of another hospital.
        BadRequest: there are more than one file should hold.
    """
    if not viewer.sees_region and viewer.hcode != hcode:
        raise NotFound(f"no referrals of hospital {hcode!r} for this account")
    query = (
        select(Referral)
        .where(seen_by(viewer), Referral.serial.is_not(None))
        .where(Referral.changed_at >= since, Referral.changed_at < until)
        .where((Referral.from_hcode == hcode) | (Referral.to_hcode == hcode))
        .order_by(Referral.id)
        .limit(LONGEST_EXPORT + 1)
    )
    rows = session.scalars(query).all()
    if len(rows) > LONGEST_EXPORT:
        raise BadRequest(f"more than {LONGEST_EXPORT} referrals changed on these days; ask for fewer days")
    sent = [read_refer(session, each) for each in rows if each.from_hcode == hcode]
    return sent, [read_refer(session, each) for each in rows if each.to_hcode == hcode]


def _came(session: Session, referral: Referral) -> Referral | None:
    """The referral by which the patient had come to the hospital that now refers them on."""
    query = select(Referral).where(
        Referral.study_id == referral.study_id,
        Referral.to_hcode == referral.from_hcode,
        Referral.state.in_(HERE),
        Referral.id < referral.id,
    )
    return session.scalar(query.order_by(Referral.id.desc()).limit(1))


def _origin(session: Session, referral: Referral, came: Referral | None) -> Origin | None:
    """What it replaces: the hospital's own earlier request, or the one by which the patient came."""
    earlier = session.get(Referral, referral.follows) if referral.follows else came
    return Origin(earlier.serial, earlier.from_hcode) if earlier is not None and earlier.serial else None


def _is_stroke(session: Session, study: Study, referral: Referral) -> bool:
    if OF_STROKE & {Capability(each) for each in referral.needs}:
        return True
    analysis = analysis_of(session, study)
    review = standing_review(session, analysis) if analysis else None
    return review is not None and bool(review.present)


def _outcome(referral: Referral, steps: dict[Verb, ReferralStep]) -> Outcome:
    words = Words(Language.TH)
    last = max(steps.values(), key=lambda step: step.id)
    said = [words(f"reason.{referral.reason.value}")] if referral.reason else []
    if referral.state is ReferralState.CANCELLED:
        said.insert(0, words("referral.cancelled"))
    if referral.state in FALLEN and last.note:
        said.append(last.note)
    arrival, end = steps.get(Verb.ARRIVE), steps.get(Verb.COMPLETE)
    return Outcome(
        state=referral.state,
        reason=referral.reason,
        words=" – ".join(said),
        hn="" if referral.state in FALLEN else referral.receiver_hn,
        arrived_at=arrival.at if arrival else None,
        reply=referral.reply,
        replied_at=end.at if end else None,
    )
