"""The closed words of a study: its states, the only ways between them, and its place in the worklist."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from service.errors import IllegalTransition


class StudyState(StrEnum):
    """Where a study stands; every study ends in flagged, clear, review, refused, failed or superseded."""

    RECEIVING = "receiving"
    READY = "ready"
    ANALYSING = "analysing"
    FLAGGED = "flagged"
    CLEAR = "clear"
    REVIEW = "review"
    REFUSED = "refused"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Priority(StrEnum):
    """How soon it was asked for."""

    STAT = "stat"
    ROUTINE = "routine"


class Lane(StrEnum):
    """Which line it waits in: patients in front of a doctor before cases from the archive."""

    LIVE = "live"
    RETROSPECTIVE = "retrospective"


RESULTS = frozenset({StudyState.FLAGGED, StudyState.CLEAR, StudyState.REVIEW})
OUTCOMES = RESULTS | {StudyState.REFUSED, StudyState.FAILED}

_AGAIN = frozenset({StudyState.READY, StudyState.SUPERSEDED})

TRANSITIONS: Mapping[StudyState, frozenset[StudyState]] = MappingProxyType(
    {
        StudyState.RECEIVING: _AGAIN | {StudyState.REFUSED, StudyState.FAILED},
        StudyState.READY: _AGAIN | {StudyState.ANALYSING, StudyState.REFUSED, StudyState.FAILED},
        StudyState.ANALYSING: _AGAIN | OUTCOMES,
        StudyState.FLAGGED: _AGAIN,
        StudyState.CLEAR: _AGAIN,
        StudyState.REVIEW: _AGAIN,
        StudyState.REFUSED: _AGAIN,
        StudyState.FAILED: _AGAIN,
        StudyState.SUPERSEDED: frozenset(),
    }
)
"""From every state but the last, late slices or a request to analyse again lead back to ready."""


def check_transition(current: StudyState, to: StudyState) -> None:
    """Refuse a change of state that is not in the table.

    Raises:
        IllegalTransition: `current` does not lead to `to`.
    """
    if to not in TRANSITIONS[current]:
        legal = ", ".join(sorted(TRANSITIONS[current])) or "nothing"
        raise IllegalTransition(f"a study that is {current.value} may become {legal}; not {to.value}")


# A place is one integer, so that one index gives the worklist in order and a page starts by one comparison:
# rank (2 bits), lane (1 bit), priority (1 bit), then milliseconds counted down, so the newest comes first.
CLOCK = 1 << 42
"""Milliseconds since 1970 stay below this until the year 2109."""

WAITING_RANK = 2
"""Everything that is not flagged shares one rank: `clear` never moves a study below one not yet read."""

GROUPS = range(12)
"""The worklist's groups in order; superseded studies lie behind them."""

_RANKS = {StudyState.FLAGGED: 0, StudyState.REVIEW: 1, StudyState.SUPERSEDED: 3}


def place_of(
    state: StudyState, lane: Lane, priority: Priority, received_at: datetime, *, reviewed: bool = False
) -> int:
    """The place in the worklist: unread flags, then unread abstentions, then all else; newest first."""
    rank = WAITING_RANK if reviewed else _RANKS.get(state, WAITING_RANK)
    group = rank * 4 + list(Lane).index(lane) * 2 + list(Priority).index(priority)
    return group * CLOCK + (CLOCK - 1 - milliseconds(received_at))


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, kept within the clock."""
    return min(max(int(moment.timestamp() * 1000), 0), CLOCK - 1)
