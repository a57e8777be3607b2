"""Outbox: sees which referrals changed since MOPH Refer was told, and has their lines looked after."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ScalarSelect, and_, func, or_, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from service.db import locked, now, session_scope
from service.moph.client import HISTORY, INVESTIGATION, RESULT
from service.moph.keys import NReferKey
from service.moph.messages import (
    MessageKind,
    MessageState,
    MophMessage,
    hospitals_due,
    message_of,
    put_in_line,
)
from service.moph.reading import read_refer
from service.moph.records import RESULT_OF, Record, investigation_refer, refer_history, refer_result
from service.moph.refers import Refer
from service.referral_states import ReferralState
from service.referrals import Referral
from service.reports import Report

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
FOLLOWED = timedelta(days=30)
"""How long after a referral's last step a radiologist's report is still sent after it."""
ROUND = 100
ASKED = tuple(state for state in ReferralState if state is not ReferralState.DRAFT)
"""Named one by one, so that the index of states and moments answers."""

PATHS = {
    MessageKind.HISTORY: HISTORY,
    MessageKind.INVESTIGATION: INVESTIGATION,
    MessageKind.RESULT: RESULT,
}
Sweep = Callable[[str, datetime], object]
"""Has a hospital's line looked after; once in a few seconds is enough."""


class Outbox:
    """Any number of processes may run it.

    Args:
        engine: The rows.
        sweep: The way to the job engine.
        clock: Now; only tests give another.
    """

    def __init__(self, engine: Engine, sweep: Sweep, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._sweep = sweep
        self._clock = clock

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a round that fails is logged and tried again."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception:  # one round must not end it
                log.exception("MOPH Refer: a round failed")

    def look(self) -> list[str]:
        """One round; returns the hospitals for which a job was put in line."""
        at = self._clock()
        for kind in MessageKind:
            with session_scope(self._engine, write=False) as session:
                numbers = changed_referrals(session, kind, at)
            for number in numbers:
                with session_scope(self._engine) as session:
                    note_change(session, number, kind, at)
        with session_scope(self._engine, write=False) as session:
            hospitals = hospitals_due(session, at)
        for hcode in hospitals:
            self._sweep(hcode, at)
        return hospitals


def changed_referrals(session: Session, kind: MessageKind, at: datetime) -> Sequence[int]:
    """Referrals of hospitals with keys, of which this record may not be what was told last."""
    side = Referral.to_hcode if kind is MessageKind.RESULT else Referral.from_hcode
    newer = [MophMessage.id.is_(None), MophMessage.version < Referral.version]
    if kind is MessageKind.INVESTIGATION:
        newer.append(_newest_report() > MophMessage.report)
    query = (
        select(Referral.id)
        .join(NReferKey, NReferKey.hcode == side)
        .outerjoin(MophMessage, and_(MophMessage.referral_id == Referral.id, MophMessage.kind == kind))
        .where(Referral.state.in_(RESULT_OF if kind is MessageKind.RESULT else ASKED))
        .where(Referral.serial.is_not(None), Referral.changed_at >= at - FOLLOWED)
        .where(Referral.changed_at >= NReferKey.since, or_(*newer))
    )
    return session.scalars(query.order_by(Referral.id).limit(ROUND)).all()


def note_change(session: Session, number: int, kind: MessageKind, at: datetime) -> None:
    """Put the record in line, unless it says the same as what was told last."""
    referral = session.scalars(locked(select(Referral).where(Referral.id == number))).one()
    content = record_of(read_refer(session, referral), kind)
    if not content:
        return
    digest, message = digest_of(content), message_of(session, referral, kind)
    report = session.scalars(select(_newest_report()).where(Referral.id == referral.id)).one()
    if message is None:
        message = MophMessage(
            referral_id=referral.id,
            kind=kind,
            hcode=referral.to_hcode if kind is MessageKind.RESULT else referral.from_hcode,
            created_at=at,
        )
        put_in_line(message, digest, at)
        session.add(message)
    elif message.digest != digest or message.state is MessageState.WITHDRAWN:
        put_in_line(message, digest, at)
    message.version, message.report = referral.version, report


def record_of(refer: Refer, kind: MessageKind) -> Record | Sequence[Record] | None:
    """What is sent."""
    match kind:
        case MessageKind.HISTORY:
            return refer_history(refer)
        case MessageKind.INVESTIGATION:
            return investigation_refer(refer)
        case MessageKind.RESULT:
            return refer_result(refer)


def digest_of(content: Record | Sequence[Record]) -> str:
    """SHA-256 of what records say, whenever they were last changed."""
    rows = [content] if isinstance(content, dict) else content
    said = [{name: value for name, value in row.items() if name != "D_UPDATE"} for row in rows]  # type: ignore[union-attr]
    return hashlib.sha256(json.dumps(said, default=str, sort_keys=True).encode()).hexdigest()


def _newest_report() -> ScalarSelect[int]:
    """The number of the newest report of a referral's study, 0 where there is none."""
    newest = select(func.coalesce(func.max(Report.id), 0))
    return newest.where(Report.study_id == Referral.study_id).correlate(Referral).scalar_subquery()
