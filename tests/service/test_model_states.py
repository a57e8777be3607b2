"""The words of a model: the ways between its states, and the table in docs."""

from itertools import product
from pathlib import Path

import pytest

from service.errors import IllegalTransition
from service.model_states import MOVES, ModelState, ModelVerb, check_model_move, table

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.mark.parametrize(("state", "verb"), list(product(ModelState, MOVES)))
def test_only_what_is_in_the_table_is_legal(state: ModelState, verb: ModelVerb) -> None:
    if state in MOVES[verb].sources:
        assert check_model_move("m", state, verb) is MOVES[verb].target
    else:
        with pytest.raises(IllegalTransition, match=f"m is {state.value} there and cannot take '{verb}'"):
            check_model_move("m", state, verb)


def test_the_table_in_docs_is_the_one_at_work() -> None:
    assert table() in DOCS.read_text(encoding="utf-8")
