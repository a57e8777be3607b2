"""The closed words of a labelling case: its states, and the verbs that lead from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from service.errors import IllegalTransition


class CaseState(StrEnum):
    """Where a case stands."""

    UPLOADED = "uploaded"
    """Not screened, or a person has to look."""
    ELIGIBLE = "eligible"
    EXCLUDED = "excluded"
    ASSIGNED = "assigned"
    READ = "read"
    """Read by all; they differ, and an adjudicator decides."""
    AGREED = "agreed"
    ADJUDICATED = "adjudicated"
    FROZEN = "frozen"


class CaseVerb(StrEnum):
    """What is done to a case."""

    SCREEN = "screen"
    ASSIGN = "assign"
    READ = "read"
    ADJUDICATE = "adjudicate"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class CaseMove:
    """What a verb does: from which states, to which, and by whom."""

    sources: tuple[CaseState, ...]
    targets: tuple[CaseState, ...]
    by: str


_S = CaseState

MOVES: Mapping[CaseVerb, CaseMove] = MappingProxyType(
    {
        CaseVerb.SCREEN: CaseMove(
            (_S.UPLOADED, _S.ELIGIBLE, _S.EXCLUDED),
            (_S.UPLOADED, _S.ELIGIBLE, _S.EXCLUDED),
            "the criteria, at once; the ML team where a person has to look",
        ),
        CaseVerb.ASSIGN: CaseMove((_S.ELIGIBLE,), (_S.ASSIGNED,), "the ML team"),
        CaseVerb.READ: CaseMove(
            # an edit may make two who agreed differ, or the other way round
            (_S.ASSIGNED, _S.READ, _S.AGREED),
            (_S.READ, _S.AGREED),
            "the last of its readers",
        ),
        CaseVerb.ADJUDICATE: CaseMove((_S.READ,), (_S.ADJUDICATED,), "an adjudicator who has not read it"),
        CaseVerb.FREEZE: CaseMove((_S.AGREED, _S.ADJUDICATED, _S.FROZEN), (_S.FROZEN,), "the ML team"),
    }
)
"""The only ways; `docs/cases.md` shows them as a table."""

SETTLED = frozenset({_S.AGREED, _S.ADJUDICATED, _S.FROZEN})
OPEN_TO_EDITS = frozenset({_S.ASSIGNED, _S.READ, _S.AGREED})
"""What a reader may still correct; once somebody has decided on it, it stays."""


def check_case_move(current: CaseState, verb: CaseVerb, to: CaseState) -> None:
    """Refuse what is not in the table.

    Raises:
        IllegalTransition: the verb does not lead there from `current`.
    """
    move = MOVES[verb]
    if current not in move.sources:
        legal = ", ".join(move.sources)
        raise IllegalTransition(
            f"a case that is {current.value} cannot take {verb.value!r}; only one that is {legal}"
        )
    assert to in move.targets, (verb, to)


def table() -> str:
    """The ways as a table in Markdown, as `docs/cases.md` has it."""
    rows = ["| verb | from | to | by |", "| --- | --- | --- | --- |"]
    for verb, move in MOVES.items():
        rows.append(f"| {verb.value} | {', '.join(move.sources)} | {', '.join(move.targets)} | {move.by} |")
    return "\n".join(rows)
