"""Who is told of a referral's steps: the receiving hospital of a request, the sending one of the answer."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.alerts import Alert, AlertKind, acknowledge_key, raise_alert
from service.neighbours import neighbour_of
from service.referral_states import ReferralState, Verb
from service.referrals import Referral

UNANSWERED = (ReferralState.REQUESTED, ReferralState.RECEIVED)


def tell_step(session: Session, referral: Referral, verb: Verb, viewer: Viewer) -> None:
    """Have the other side told of a step that concerns it; who acts has thereby heard of what came before."""
    match verb:
        case Verb.REQUEST:
            _tell(session, referral, AlertKind.REFERRAL_REQUESTED, referral.to_hcode)
        case Verb.ACCEPT | Verb.REJECT:
            _tell(session, referral, AlertKind.REFERRAL_ANSWERED, referral.from_hcode)
        case Verb.DEPART:
            _tell(session, referral, AlertKind.REFERRAL_DEPARTED, referral.to_hcode)
            acknowledge_key(session, _key(referral, AlertKind.REFERRAL_ANSWERED, referral.from_hcode), viewer)
    if verb in (Verb.RECEIVE, Verb.ACCEPT, Verb.REJECT, Verb.CANCEL):
        acknowledge_key(session, _key(referral, AlertKind.REFERRAL_REQUESTED, referral.to_hcode), viewer)
    if verb in (Verb.ACCEPT, Verb.REJECT, Verb.CANCEL):
        for hcode in (referral.to_hcode, referral.from_hcode):
            acknowledge_key(session, _key(referral, AlertKind.REFERRAL_LATE, hcode), viewer)


def late_referrals(session: Session, at: datetime, *, limit: int = 100) -> list[int]:
    """Requests that nobody answered in time, and of which nobody was told so yet."""
    told = select(Alert.study_id).where(
        Alert.kind == AlertKind.REFERRAL_LATE,
        Alert.study_id == Referral.study_id,
        Alert.raised_at >= Referral.answer_by,
        Alert.hcode.in_((Referral.to_hcode, Referral.from_hcode)),
    )
    query = (
        select(Referral.id)
        .where(Referral.state.in_(UNANSWERED), Referral.answer_by <= at, ~told.exists())
        .order_by(Referral.answer_by)
    )
    return list(session.scalars(query.limit(limit)))


def tell_late(session: Session, number: int, at: datetime) -> None:
    """Have both hospitals told that a request was not answered: one to answer, one to look for another."""
    referral = session.get_one(Referral, number, with_for_update=True)
    if referral.state in UNANSWERED and referral.answer_by is not None and referral.answer_by <= at:
        for hcode in (referral.to_hcode, referral.from_hcode):
            _tell(session, referral, AlertKind.REFERRAL_LATE, hcode, at=at)


def _tell(
    session: Session, referral: Referral, kind: AlertKind, hcode: str, *, at: datetime | None = None
) -> None:
    if neighbour_of(session, hcode) is not None:
        return  # its people work at another hub, which tells them
    raise_alert(
        session,
        kind,
        hcode=hcode,
        study_id=referral.study_id,
        path=f"/referrals/{referral.id}",
        key=_key(referral, kind, hcode),
        at=at,
    )


def _key(referral: Referral, kind: AlertKind, hcode: str) -> str:
    return f"referral:{referral.id}:{kind.value}:{hcode}"
