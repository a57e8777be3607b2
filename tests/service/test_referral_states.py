"""The words of a referral: the ways between its states, its FHIR status, the reasons, the table in docs."""

from itertools import product
from pathlib import Path

import pytest

from service.errors import IllegalTransition
from service.referral_states import (
    BUSINESS_STATUS,
    ENDED,
    MOVES,
    REASONS,
    TASK_STATUS,
    Reason,
    ReferralState,
    Side,
    Verb,
    check_move,
    table,
    verbs_of,
)

DOCS = Path(__file__).parents[2] / "docs" / "referrals.md"
TASK_STATUSES = {
    "draft",
    "requested",
    "received",
    "accepted",
    "rejected",
    "ready",
    "cancelled",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
}


@pytest.mark.parametrize(("state", "verb"), list(product(ReferralState, Verb)))
def test_only_what_is_in_the_table_is_legal(state: ReferralState, verb: Verb) -> None:
    if state in MOVES[verb].sources:
        assert check_move(state, verb) is MOVES[verb].target
    else:
        with pytest.raises(IllegalTransition, match=f"{state.value} cannot take '{verb.value}'"):
            check_move(state, verb)


def test_what_has_ended_leads_nowhere_and_everything_else_can_end() -> None:
    leads = {state: verbs_of(state, frozenset(Side)) for state in ReferralState}
    assert {state for state, verbs in leads.items() if not verbs} == ENDED
    reach = set(ENDED)
    while more := {
        s for s in ReferralState if s not in reach and {MOVES[v].target for v in leads[s]} & reach
    }:
        reach |= more
    assert reach == set(ReferralState)


def test_only_the_receiver_answers_and_only_the_sender_asks_and_takes_back() -> None:
    by = {verb: set(move.sides) for verb, move in MOVES.items()}
    assert {verb for verb, sides in by.items() if sides == {Side.SENDER}} == {
        Verb.REQUEST,
        Verb.DEPART,
        Verb.CANCEL,
    }
    assert by[Verb.ACCEPT] == by[Verb.REJECT] == by[Verb.ARRIVE] == {Side.RECEIVER}


def test_every_state_is_a_status_of_a_fhir_task() -> None:
    assert set(TASK_STATUS) == set(ReferralState)
    assert set(TASK_STATUS.values()) <= TASK_STATUSES
    assert set(BUSINESS_STATUS) == set(ReferralState) - {ReferralState.DRAFT}


def test_whatever_falls_through_has_reasons_and_other_is_among_them() -> None:
    fall = {verb for verb, move in MOVES.items() if move.target in ENDED - {ReferralState.COMPLETED}}
    assert set(REASONS) == fall
    assert all(reasons[-1] is Reason.OTHER for reasons in REASONS.values())
    assert {each for reasons in REASONS.values() for each in reasons} == set(Reason)


def test_the_table_in_docs_is_the_one_at_work() -> None:
    assert table() in DOCS.read_text(encoding="utf-8")
