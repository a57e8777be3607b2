"""Who is told of a referral: of the request the receiver, of the answer the sender, of silence both."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.alert_states import AlertState
from service.alerts import Alert, AlertKind
from service.referral_alerts import late_referrals, tell_late
from service.referral_states import Reason, Verb
from service.referral_steps import ANSWER_WITHIN, accept_referral, move_referral, open_referral
from tests.service.factories import HN, NAME, UDON
from tests.service.referring import RECEIVER, SENDER, SMALL, requested


def told(session: Session) -> list[tuple[AlertKind, str, AlertState]]:
    return [(each.kind, each.hcode, each.state) for each in session.scalars(select(Alert).order_by(Alert.id))]


def test_a_request_rings_at_the_receiver_until_somebody_opens_it(session: Session) -> None:
    referral = requested(session)
    assert told(session) == [(AlertKind.REFERRAL_REQUESTED, UDON, AlertState.RINGING)]
    open_referral(session, referral, RECEIVER)
    assert told(session)[0][2] is AlertState.ACKNOWLEDGED
    alert = session.scalars(select(Alert)).one()
    said = f"{alert.path} {alert.key}"
    assert alert.path == f"/referrals/{referral.id}"
    assert not any(word in said for word in (*NAME.split("^"), HN))


def test_the_answer_rings_at_the_sender_and_the_departure_at_the_receiver(session: Session) -> None:
    referral = requested(session)
    accept_referral(session, referral, RECEIVER, version=None)
    move_referral(session, referral, SENDER, Verb.DEPART, version=None)
    assert told(session) == [
        (AlertKind.REFERRAL_REQUESTED, UDON, AlertState.ACKNOWLEDGED),
        (AlertKind.REFERRAL_ANSWERED, SMALL, AlertState.ACKNOWLEDGED),
        (AlertKind.REFERRAL_DEPARTED, UDON, AlertState.RINGING),
    ]


def test_a_request_taken_back_stops_ringing(session: Session) -> None:
    referral = requested(session)
    move_referral(session, referral, SENDER, Verb.CANCEL, reason=Reason.PATIENT_IMPROVED, version=None)
    assert told(session) == [(AlertKind.REFERRAL_REQUESTED, UDON, AlertState.ACKNOWLEDGED)]


def test_silence_is_told_to_both_once_the_time_is_over_and_only_once(session: Session) -> None:
    referral = requested(session)
    soon, late = (referral.changed_at + ANSWER_WITHIN * part for part in (0.9, 1.1))
    assert late_referrals(session, soon) == []
    assert late_referrals(session, late) == [referral.id]
    for _ in range(2):
        tell_late(session, referral.id, late)
    assert [each[:2] for each in told(session)[1:]] == [
        (AlertKind.REFERRAL_LATE, UDON),
        (AlertKind.REFERRAL_LATE, SMALL),
    ]
    assert late_referrals(session, late + timedelta(minutes=1)) == []
    accept_referral(session, referral, RECEIVER, version=None)
    assert {state for kind, _, state in told(session) if kind is AlertKind.REFERRAL_LATE} == {
        AlertState.ACKNOWLEDGED
    }
