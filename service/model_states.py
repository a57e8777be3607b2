"""The closed words of a model: its states in a place, and the verbs that lead from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from service.errors import IllegalTransition


class ModelState(StrEnum):
    """Where a model stands in one place: the whole region, or one hospital that is ahead of it."""

    CANDIDATE = "candidate"
    """Registered; reads nothing there."""
    SHADOW = "shadow"
    """Reads every study there beside the live one; nobody is told what it says."""
    LIVE = "live"
    RETIRED = "retired"


class ModelVerb(StrEnum):
    """What is done to a model."""

    REGISTER = "register"
    SHADOW = "shadow"
    PROMOTE = "promote"
    REPLACE = "replace"
    """Another takes its place."""
    END = "end"
    """A hospital's own way ends, because the whole region goes another."""
    ROLLBACK = "rollback"
    RESTORE = "restore"
    """The one before it comes back."""
    RETIRE = "retire"
    FAULT = "fault"
    """A worker could not use it and went on with the one before; the state stays."""


@dataclass(frozen=True, slots=True)
class ModelMove:
    """What a verb does: from which states, to which, and by whom."""

    sources: tuple[ModelState, ...]
    target: ModelState
    by: str


_S = ModelState

MOVES: Mapping[ModelVerb, ModelMove] = MappingProxyType(
    {
        ModelVerb.SHADOW: ModelMove((_S.CANDIDATE, _S.RETIRED), _S.SHADOW, "the ML team"),
        ModelVerb.PROMOTE: ModelMove(
            (_S.CANDIDATE, _S.SHADOW, _S.RETIRED),
            _S.LIVE,
            "the ML team where every gate is open; an administrator in any case, with a reason",
        ),
        ModelVerb.REPLACE: ModelMove((_S.SHADOW, _S.LIVE), _S.RETIRED, "whoever puts another in its place"),
        ModelVerb.END: ModelMove((_S.SHADOW, _S.LIVE), _S.RETIRED, "whoever promotes for the region"),
        ModelVerb.ROLLBACK: ModelMove((_S.LIVE,), _S.RETIRED, "the ML team"),
        ModelVerb.RESTORE: ModelMove(
            (_S.CANDIDATE, _S.SHADOW, _S.RETIRED), _S.LIVE, "the roll-back of the one that replaced it"
        ),
        ModelVerb.RETIRE: ModelMove((_S.CANDIDATE, _S.SHADOW), _S.RETIRED, "the ML team"),
    }
)
"""The only ways; `docs/models.md` shows them as a table."""


def check_model_move(name: str, current: ModelState, verb: ModelVerb) -> ModelState:
    """The state that the verb leads to.

    Raises:
        IllegalTransition: it does not lead anywhere from `current`.
    """
    move = MOVES[verb]
    if current not in move.sources:
        legal = ", ".join(move.sources)
        raise IllegalTransition(
            f"{name} is {current.value} there and cannot take {verb.value!r}; only one that is {legal}"
        )
    return move.target


def table() -> str:
    """The ways as a table in Markdown, as `docs/models.md` has it."""
    rows = ["| verb | from | to | by |", "| --- | --- | --- | --- |"]
    for verb, move in MOVES.items():
        rows.append(f"| {verb.value} | {', '.join(move.sources)} | {move.target} | {move.by} |")
    return "\n".join(rows)
