"""States and places: the table of transitions, and the order of the worklist."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import IllegalTransition
from service.states import (
    CLOCK,
    GROUPS,
    OUTCOMES,
    TRANSITIONS,
    Lane,
    Priority,
    StudyState,
    check_transition,
    place_of,
)
from tests.service.factories import RECEIVED

PLACE = {"lane": Lane.LIVE, "priority": Priority.ROUTINE, "received_at": RECEIVED}

MOMENTS = st.datetimes(timezones=st.just(UTC))


def place(state: StudyState, *, reviewed: bool = False, **changes: object) -> int:
    return place_of(state, **{**PLACE, **changes}, reviewed=reviewed)  # type: ignore[arg-type]


class TestTransitions:
    @pytest.mark.parametrize(("current", "to"), list(product(StudyState, StudyState)))
    def test_only_what_is_in_the_table_is_legal(self, current: StudyState, to: StudyState) -> None:
        if to in TRANSITIONS[current]:
            check_transition(current, to)
        else:
            with pytest.raises(IllegalTransition, match=f"{current.value} may become .* not {to.value}"):
                check_transition(current, to)

    def test_every_state_but_superseded_leads_on(self) -> None:
        assert [state for state in StudyState if not TRANSITIONS[state]] == [StudyState.SUPERSEDED]

    def test_results_come_only_from_analysing(self) -> None:
        for result in (StudyState.FLAGGED, StudyState.CLEAR, StudyState.REVIEW):
            assert [state for state in StudyState if result in TRANSITIONS[state]] == [StudyState.ANALYSING]

    def test_every_way_can_end_in_an_outcome(self) -> None:
        reach = set(OUTCOMES)
        while more := {s for s in StudyState if s not in reach and TRANSITIONS[s] & reach}:
            reach |= more
        assert reach == set(StudyState) - {StudyState.SUPERSEDED}


class TestPlaceOf:
    def test_flags_come_first_then_abstentions_then_all_else(self) -> None:
        older = RECEIVED - timedelta(days=3000)
        assert place(StudyState.FLAGGED, received_at=older) < place(StudyState.REVIEW)
        assert place(StudyState.REVIEW, received_at=older) < place(StudyState.READY)

    def test_clear_is_never_below_what_is_not_yet_read(self) -> None:
        same = {place(state) for state in StudyState} - {
            place(state) for state in (StudyState.FLAGGED, StudyState.REVIEW, StudyState.SUPERSEDED)
        }
        assert same == {place(StudyState.CLEAR)}

    def test_a_reviewed_flag_is_no_longer_first(self) -> None:
        assert place(StudyState.FLAGGED, reviewed=True) == place(StudyState.CLEAR)

    def test_live_comes_before_retrospective_and_stat_before_routine(self) -> None:
        older = RECEIVED - timedelta(days=3000)
        for state in StudyState:
            places = [
                place(state, lane=lane, priority=priority, received_at=older)
                for lane, priority in product(Lane, Priority)
            ]
            assert places == sorted(places)

    @given(MOMENTS, MOMENTS)
    def test_the_newest_comes_first(self, one: datetime, other: datetime) -> None:
        earlier, later = sorted((one, other))
        assert place(StudyState.CLEAR, received_at=later) <= place(StudyState.CLEAR, received_at=earlier)

    def test_superseded_lies_behind_every_group_of_the_worklist(self) -> None:
        assert place(StudyState.SUPERSEDED) >= GROUPS.stop * CLOCK
        assert place(StudyState.CLEAR, lane=Lane.RETROSPECTIVE) < GROUPS.stop * CLOCK

    @given(st.sampled_from(StudyState), MOMENTS)
    def test_every_place_fits_a_database_integer(self, state: StudyState, moment: datetime) -> None:
        assert 0 <= place(state, received_at=moment) < 1 << 63
