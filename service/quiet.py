"""Quiet: the rules that hold an alert back, so that people still get up for the one that matters.

No rule silences what rings. Over the budget, or where most flags are wrong, an alert first shows on the pages
alone and goes the whole ladder when nobody has taken it by the next hop. By night only what can wait does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.alert_budget import judged_flags
from service.alert_states import AlertState
from service.alerts import CALM, Alert, AlertKind
from service.thai_time import THAILAND

NIGHT: Final = (22, 6)
"""Hours of the Thai day."""
AGAIN_WITHIN: Final = timedelta(hours=1)
JUDGED: Final = 20
"""Reviews of flags below which nobody can say how many of them are right."""


class Rule(StrEnum):
    """Why an alert is held back."""

    NIGHT = "night"
    """It can wait until the morning."""
    REPEATED = "repeated"
    """The same study rang within the hour, and somebody has it: it shows on the pages alone."""
    BUDGET = "budget"
    """The hospital has had its flags of this hour: the first hop shows on the pages alone."""
    PRECISION = "precision"
    """Most of the hospital's flags were wrong: the same."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a hospital's people can bear."""

    flags_an_hour: int = 10
    precision_percent: int = 20
    """Of the newest judged flags, how many must have been right."""


def thai_minute(at: datetime) -> int:
    """The minute of the Thai day, 0 to 1439."""
    there = at.astimezone(THAILAND)
    return there.hour * 60 + there.minute


def morning(at: datetime) -> datetime | None:
    """The end of the night that it is in Thailand at this moment; None by day."""
    there = at.astimezone(THAILAND)
    if NIGHT[1] <= there.hour < NIGHT[0]:
        return None
    day = there.replace(hour=NIGHT[1], minute=0, second=0, microsecond=0)
    return (day + timedelta(days=there.hour >= NIGHT[0])).astimezone(UTC)


def quiet_rule(session: Session, alert: Alert, limits: Limits, at: datetime) -> Rule | None:
    """The rule that holds this alert back before its first hop, if any."""
    if alert.kind in CALM:
        return Rule.NIGHT if morning(at) is not None else None
    if alert.kind is not AlertKind.FLAG:
        return None
    if _taken_lately(session, alert, at):
        return Rule.REPEATED
    if _rang_lately(session, alert, at) >= limits.flags_an_hour:
        return Rule.BUDGET
    verdicts = judged_flags(session, alert.hcode)
    if len(verdicts) >= JUDGED and sum(verdicts) * 100 < limits.precision_percent * len(verdicts):
        return Rule.PRECISION
    return None


def _taken_lately(session: Session, alert: Alert, at: datetime) -> bool:
    query = select(Alert.id).where(
        Alert.study_id == alert.study_id,
        Alert.kind == alert.kind,
        Alert.hcode == alert.hcode,
        Alert.id < alert.id,
        Alert.state == AlertState.ACKNOWLEDGED,
        # who had it was told that it is not so: now it is, once more
        Alert.withdrawn_at.is_(None),
        Alert.acknowledged_at > at - AGAIN_WITHIN,
    )
    return session.scalar(query.limit(1)) is not None


def _rang_lately(session: Session, alert: Alert, at: datetime) -> int:
    query = select(func.count()).where(
        Alert.hcode == alert.hcode,
        Alert.kind == AlertKind.FLAG,
        Alert.id < alert.id,
        Alert.raised_at > at - timedelta(hours=1),
        Alert.quiet == "",
    )
    return session.scalars(query).one()
