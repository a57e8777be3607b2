"""The closed words of an alert: its states, and what moves it from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class AlertState(StrEnum):
    """Where an alert stands."""

    RINGING = "ringing"
    ACKNOWLEDGED = "acknowledged"
    TOLD = "told"
    """It waits for nobody's answer."""
    UNANSWERED = "unanswered"
    """The whole ladder was told, again and again, and nobody answered."""
    WITHDRAWN = "withdrawn"
    """What it said is not so any more, and nobody had answered until then."""


class AlertMove(StrEnum):
    """What happens to an alert."""

    TELL = "tell"
    """The ladder has told what waits for nobody: a calm alert, or one of a study that somebody has."""
    GIVE_UP = "give up"
    """The ladder has repeated its last hop for an hour."""
    ANSWER = "answer"
    """Somebody who was told says that they have it, or does what it asks for."""
    WITHDRAW = "withdraw"
    """Nothing is flagged any more: by the AI on more images, or by a radiologist."""


@dataclass(frozen=True, slots=True)
class AlertWay:
    """What a move does: from which states, to which, and by whom."""

    sources: frozenset[AlertState]
    target: AlertState
    by: str


_S = AlertState
_OPEN = frozenset({_S.RINGING, _S.TOLD, _S.UNANSWERED})
WAYS: Mapping[AlertMove, AlertWay] = MappingProxyType(
    {
        AlertMove.TELL: AlertWay(frozenset({_S.RINGING}), _S.TOLD, "the ladder"),
        AlertMove.GIVE_UP: AlertWay(frozenset({_S.RINGING}), _S.UNANSWERED, "the ladder"),
        AlertMove.ANSWER: AlertWay(_OPEN, _S.ACKNOWLEDGED, "whoever was told"),
        AlertMove.WITHDRAW: AlertWay(_OPEN, _S.WITHDRAWN, "the AI, or a radiologist"),
    }
)
"""The only ways; `docs/alerts.md` shows them as a table."""


def alert_after(current: AlertState, move: AlertMove) -> AlertState:
    """The state that `move` leads to; `current` where it changes nothing: coming second is no fault."""
    way = WAYS[move]
    return way.target if current in way.sources else current


def alert_table() -> str:
    """The ways as a table in Markdown, as `docs/alerts.md` has it."""
    rows = ["| what happens | from | to | by |", "| --- | --- | --- | --- |"]
    for move, way in WAYS.items():
        sources = ", ".join(each.value for each in AlertState if each in way.sources)
        rows.append(f"| {move.value} | {sources} | {way.target.value} | {way.by} |")
    return "\n".join(rows)
