"""The closed words of a consult: its states, and who may move it from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from service.errors import IllegalTransition


class ConsultState(StrEnum):
    """Where a consult stands; every consult ends in closed or cancelled."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    """Somebody at the asked hospital has it."""
    ANSWERED = "answered"
    CLOSED = "closed"
    """The asking hospital has said what came of it."""
    CANCELLED = "cancelled"


class ConsultSide(StrEnum):
    """Which hospital of a consult somebody acts for."""

    ASKER = "asker"
    ADVISER = "adviser"


class ConsultVerb(StrEnum):
    """What is done to a consult."""

    ACCEPT = "accept"
    ANSWER = "answer"
    CLOSE = "close"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class ConsultMove:
    """What a verb does: from which states, to which, and by whom."""

    sources: frozenset[ConsultState]
    target: ConsultState
    side: ConsultSide


_S, _ASKER, _ADVISER = ConsultState, ConsultSide.ASKER, ConsultSide.ADVISER

MOVES: Mapping[ConsultVerb, ConsultMove] = MappingProxyType(
    {
        ConsultVerb.ACCEPT: ConsultMove(frozenset({_S.ASKED}), _S.ACCEPTED, _ADVISER),
        # who has it at hand answers at once; an answer says that somebody has it
        ConsultVerb.ANSWER: ConsultMove(frozenset({_S.ASKED, _S.ACCEPTED}), _S.ANSWERED, _ADVISER),
        ConsultVerb.CLOSE: ConsultMove(frozenset({_S.ANSWERED}), _S.CLOSED, _ASKER),
        ConsultVerb.CANCEL: ConsultMove(frozenset({_S.ASKED, _S.ACCEPTED}), _S.CANCELLED, _ASKER),
    }
)
"""The only ways; `docs/consults.md` shows them as a table."""

OPEN = frozenset({_S.ASKED, _S.ACCEPTED, _S.ANSWERED})
"""While a consult is open, the asked hospital sees the study."""


def check_consult_move(current: ConsultState, verb: ConsultVerb) -> ConsultState:
    """The state that `verb` leads to.

    Raises:
        IllegalTransition: not from `current`.
    """
    move = MOVES[verb]
    if current not in move.sources:
        legal = " or ".join(each.value for each in ConsultState if each in move.sources)
        raise IllegalTransition(
            f"a consult that is {current.value} cannot take {verb.value!r}; only one that is {legal} can"
        )
    return move.target


def consult_verbs(state: ConsultState, sides: frozenset[ConsultSide]) -> list[ConsultVerb]:
    """What somebody who acts for `sides` may do next."""
    return [verb for verb, move in MOVES.items() if state in move.sources and move.side in sides]


def consult_table() -> str:
    """The ways as a table in Markdown, as `docs/consults.md` has it."""
    rows = ["| verb | from | to | by |", "| --- | --- | --- | --- |"]
    for verb, move in MOVES.items():
        sources = ", ".join(each.value for each in ConsultState if each in move.sources)
        rows.append(f"| {verb.value} | {sources} | {move.target.value} | {move.side.value} |")
    return "\n".join(rows)
