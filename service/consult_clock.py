"""The clock of a consult: opened within 10 minutes, advised within 20; who is late is told by an alert.

The alert goes the ladder of the asked hospital and on to the hospital behind it, as every other does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, and_, or_, select
from sqlalchemy.orm import Session

from service import audit
from service.alerts import AlertKind, raise_alert
from service.consult_states import ConsultState
from service.consults import Consult, alert_key
from service.db import now, session_scope
from service.settings import Settings
from service.studies import HUB

ROUND = 100
LOOK_BACK = timedelta(days=1)
"""A consult that nobody has answered in a day is no news any more."""


@dataclass(frozen=True, slots=True)
class Due:
    """The moments by which a consult should have been opened and advised on, and whether it was."""

    open_at: datetime
    advice_at: datetime
    opened_late: bool
    advised_late: bool


class ConsultClock:
    """Raises an alert for whatever is late, once each.

    Args:
        engine: The rows.
        open_minutes: Within how many minutes somebody at the asked hospital should have looked.
        advice_minutes: Within how many the advice should be there.
        clock: Now; only tests give another.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        open_minutes: int = 10,
        advice_minutes: int = 20,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._open, self._advice = timedelta(minutes=open_minutes), timedelta(minutes=advice_minutes)
        self._clock = clock

    def look(self) -> list[int]:
        """One look; returns the consults for which an alert was raised."""
        at = self._clock()
        with session_scope(self._engine, write=False) as session:
            late = self._late(session, at)
        raised = []
        for number, step in late:
            with session_scope(self._engine) as session:
                consult = session.get_one(Consult, number, with_for_update=True)
                # somebody may have been there first
                if self._is_late(consult, step, at):
                    self._tell(session, consult, step, at)
                    raised.append(number)
        return raised

    def due(self, consult: Consult) -> Due:
        """How a consult stands against the clock now."""
        at = self._clock()
        open_at, advice_at = consult.asked_at + self._open, consult.asked_at + self._advice
        ended = consult.ended_at or at
        opened = min(each for each in (consult.opened_at, consult.accepted_at, ended) if each)
        return Due(open_at, advice_at, opened > open_at, (consult.answered_at or ended) > advice_at)

    def _late(self, session: Session, at: datetime) -> list[tuple[int, str]]:
        unopened = and_(
            Consult.state == ConsultState.ASKED,
            Consult.opened_at.is_(None),
            Consult.open_late_at.is_(None),
            Consult.asked_at <= at - self._open,
        )
        unadvised = and_(
            Consult.state.in_((ConsultState.ASKED, ConsultState.ACCEPTED)),
            Consult.advice_late_at.is_(None),
            Consult.asked_at <= at - self._advice,
        )
        query = (
            select(Consult).where(or_(unopened, unadvised), Consult.asked_at > at - LOOK_BACK).limit(ROUND)
        )
        return [
            (each.id, step)
            for each in session.scalars(query)
            for step in ("open", "advice")
            if self._is_late(each, step, at)
        ]

    def _is_late(self, consult: Consult, step: str, at: datetime) -> bool:
        """Whether a step is overdue and nobody was told of it."""
        if step == "open":
            waits = consult.state is ConsultState.ASKED and consult.opened_at is None
            return waits and consult.open_late_at is None and consult.asked_at <= at - self._open
        waits = consult.state in (ConsultState.ASKED, ConsultState.ACCEPTED)
        return waits and consult.advice_late_at is None and consult.asked_at <= at - self._advice

    def _tell(self, session: Session, consult: Consult, step: str, at: datetime) -> None:
        if step == "open":
            consult.open_late_at = at
        else:
            consult.advice_late_at = at
        raise_alert(
            session,
            AlertKind.CONSULT_LATE,
            hcode=consult.to_hcode,
            study_id=consult.study_id,
            path=f"/consults/{consult.id}",
            key=alert_key(consult, AlertKind.CONSULT_LATE, step),
            specialty=consult.specialty,
            at=at,
        )
        detail: audit.Detail = {
            "consult": consult.id,
            "hcode": consult.hcode,
            "to": consult.to_hcode,
            "step": step,
        }
        audit.record(session, HUB, "consult.late", study_id=consult.study_id, detail=detail)


def consult_clock(settings: Settings, engine: Engine) -> ConsultClock:
    """The clock as the settings set it."""
    return ConsultClock(
        engine,
        open_minutes=settings.consult_open_minutes,
        advice_minutes=settings.consult_advice_minutes,
    )
