"""Correction: a flag that is not so any more stops ringing, and those who were told of it are told that.

A flag goes when a later revision of its study is clear, or when a radiologist sees no stroke; when the
radiologist takes that back, it rings anew. Whoever was told within a day gets one short message more, by the
same way, also where somebody has the alert already: they hold for true what is not.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service import audit
from service.alert_deliveries import (
    AlertDelivery,
    TellState,
    messages_of,
    note_in_app,
    queue_message,
    withdraw_messages,
)
from service.alert_states import AlertMove, alert_after
from service.alerts import Alert, AlertKind, Withdrawal, close_sight, raise_alert
from service.contacts import Contact, Way
from service.db import locked, now
from service.studies import Study

CORRECTED_WITHIN: Final = timedelta(hours=24)
"""An alert older than this has done whatever it did; analysing old studies again must wake nobody."""


def withdraw_flags(
    session: Session, study: Study, because: Withdrawal, actor: str, *, at: datetime | None = None
) -> list[Alert]:
    """End the alerts of a study's flags, and have everybody told who was told of them.

    Args:
        session: A writing session.
        study: Locked by the caller.
        because: Why it is flagged no longer.
        actor: Who says so.
        at: Now; only tests give another.

    Returns:
        The alerts that were not withdrawn before.
    """
    moment = at or now()
    query = select(Alert).where(
        Alert.study_id == study.id, Alert.kind == AlertKind.FLAG, Alert.withdrawn_at.is_(None)
    )
    found = list(session.scalars(locked(query.order_by(Alert.id))))
    for alert in found:
        _withdraw(session, alert, because, actor, moment)
    return found


def follow_review(
    session: Session, study: Study, flagged: Collection[StrokeType], review: int, actor: str
) -> None:
    """Let the alerts of a study follow what a radiologist says is flagged now.

    Args:
        session: A writing session.
        study: Locked by the caller.
        flagged: What stands flagged after the review.
        review: Its number.
        actor: The radiologist.
    """
    if not flagged:
        withdraw_flags(session, study, Withdrawal.DISAGREED, actor)
        return
    query = select(Alert).where(Alert.study_id == study.id, Alert.kind == AlertKind.FLAG)
    last = session.scalar(query.order_by(Alert.id.desc()).limit(1))
    if last is not None and last.withdrawn_at is not None:
        raise_alert(
            session,
            AlertKind.FLAG,
            hcode=last.hcode,
            study_id=study.id,
            path=last.path,
            key=f"{AlertKind.FLAG.value}:{study.id}:{study.revision}:review:{review}",
        )


def correct_contact(session: Session, alert: Alert, told: AlertDelivery, at: datetime) -> None:
    """Have one contact told that the alert is not so any more; once, however often it was told."""
    contact = session.get(Contact, told.contact_id) if told.contact_id else None
    known = select(AlertDelivery.id).where(
        AlertDelivery.alert_id == alert.id,
        AlertDelivery.contact_id == told.contact_id,
        AlertDelivery.corrects,
    )
    if contact is None or at - alert.raised_at > CORRECTED_WITHIN or session.scalar(known.limit(1)):
        return
    queue_message(session, alert.id, alert.hop, contact, told.told, at, corrects=True)


def _withdraw(session: Session, alert: Alert, because: Withdrawal, actor: str, at: datetime) -> None:
    withdrawn = alert_after(alert.state, AlertMove.WITHDRAW)
    if withdrawn is not alert.state:
        alert.state, alert.next_at = withdrawn, None
        close_sight(session, alert, actor, at)
    alert.withdrawn_at, alert.withdrawn_because = at, because
    withdraw_messages(session, alert.id)
    # what is on its way at this moment is corrected once it has arrived, by `messengers`
    for each in messages_of(session, alert.id):
        if each.state is TellState.DELIVERED and each.way is not Way.IN_APP:
            correct_contact(session, alert, each, at)
    for hcode in filter(None, (alert.hcode, alert.hub)):
        note_in_app(session, alert.id, alert.hop, hcode, "event alert.withdrawn", at, corrects=True)
    detail: audit.Detail = {
        "alert": alert.id,
        "hcode": alert.hcode,
        "to": alert.hub,
        "because": because.value,
    }
    audit.record(session, actor, "alert.withdrawn", study_id=alert.study_id, detail=detail)
