"""The words of a case: the ways between its states, and the table in docs."""

from itertools import product
from pathlib import Path

import pytest

from service.case_states import MOVES, CaseState, CaseVerb, check_case_move, table
from service.errors import IllegalTransition

DOCS = Path(__file__).parents[2] / "docs" / "cases.md"


@pytest.mark.parametrize(("state", "verb"), list(product(CaseState, CaseVerb)))
def test_only_what_is_in_the_table_is_legal(state: CaseState, verb: CaseVerb) -> None:
    if state in MOVES[verb].sources:
        check_case_move(state, verb, MOVES[verb].targets[0])
    else:
        with pytest.raises(IllegalTransition, match=f"{state.value} cannot take '{verb.value}'"):
            check_case_move(state, verb, MOVES[verb].targets[0])


def test_every_state_is_reached_and_only_frozen_ends() -> None:
    reached = {CaseState.UPLOADED}
    while more := {
        to
        for move in MOVES.values()
        if set(move.sources) & reached
        for to in move.targets
        if to not in reached
    }:
        reached |= more
    assert reached == set(CaseState)
    leave = {state for move in MOVES.values() for state in move.sources if set(move.targets) - {state}}
    assert set(CaseState) - leave == {CaseState.FROZEN}


def test_the_table_in_docs_is_the_one_at_work() -> None:
    assert table() in DOCS.read_text(encoding="utf-8")
