"""Who reads what: every case read, nobody twice but as planned, balance within one, the same by seed."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.assignment import (
    CannotAssign,
    Design,
    Purpose,
    Reader,
    Turn,
    assign,
    hand_over,
    share_of,
    workload,
)

FEW = settings(max_examples=25, deadline=None)
Plan = tuple[list[str], list[Reader], Design, set[str], dict[str, str]]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    cases = [f"c{number:03d}" for number in range(draw(st.integers(4, 60)))]
    readers = [Reader(f"r{number}") for number in range(draw(st.integers(3, 9)))]
    test = set(draw(st.lists(st.sampled_from(cases), max_size=len(cases) // 2, unique=True)))
    design = Design(
        common=draw(st.integers(0, min(4, len(cases) - len(test)))),
        double_share=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        rereads=draw(st.integers(0, 3)),
        reread_gap=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 99)),
    )
    strata = {case: draw(st.sampled_from("abc")) for case in cases}
    return cases, readers, design, test, strata


def made(plan: Plan) -> tuple[Turn, ...]:
    cases, readers, design, test, strata = plan
    return assign(cases, readers, design, test=test, strata=strata)


def firsts(turns: tuple[Turn, ...]) -> list[Turn]:
    return [turn for turn in turns if turn.read_no == 1]


class TestAssign:
    @FEW
    @given(plans())
    def test_every_case_is_read_as_often_as_designed(self, plan: Plan) -> None:
        cases, readers, design, test, _ = plan
        turns = firsts(made(plan))
        counts = Counter(turn.case for turn in turns)
        purposes = {turn.case: turn.purpose for turn in turns}
        times = {Purpose.COMMON: len(readers), Purpose.TEST: 3, Purpose.DOUBLE: 2, Purpose.SINGLE: 1}
        assert set(counts) == set(cases)
        assert all(counts[case] == times[purposes[case]] for case in cases)
        assert {case for case, purpose in purposes.items() if purpose is Purpose.TEST} == test
        assert sum(purpose is Purpose.COMMON for purpose in purposes.values()) == design.common

    @FEW
    @given(plans())
    def test_nobody_reads_a_case_twice_but_as_a_planned_reread_well_after(self, plan: Plan) -> None:
        gap = plan[2].reread_gap
        seen: dict[tuple[str, str], list[Turn]] = defaultdict(list)
        for turn in sorted(made(plan)):
            seen[turn.reader, turn.case].append(turn)
        for turns in seen.values():
            assert [turn.read_no for turn in turns] == [1, 2][: len(turns)]
            if len(turns) == 2:
                assert turns[1].purpose is Purpose.REREAD
                assert turns[1].place - turns[0].place > gap

    @FEW
    @given(plans())
    def test_readers_are_balanced_within_one(self, plan: Plan) -> None:
        loads = Counter(turn.reader for turn in firsts(made(plan)))
        assert max(loads.values()) - min(loads[reader.name] for reader in plan[1]) <= 1

    @FEW
    @given(plans(), st.data())
    def test_a_share_is_met_within_one(self, plan: Plan, data: st.DataObject) -> None:
        cases, readers, design, test, strata = plan
        readers = [Reader(each.name, data.draw(st.sampled_from([0.5, 0.8, 1.0]))) for each in readers]
        try:
            turns = firsts(assign(cases, readers, design, test=test, strata=strata))
        except CannotAssign:
            return  # three readers of three reads each cannot have unequal loads
        dealt = Counter(turn.reader for turn in turns if turn.purpose is not Purpose.COMMON)
        whole = sum(reader.share for reader in readers)
        for reader in readers:
            assert abs(dealt[reader.name] - sum(dealt.values()) * reader.share / whole) < 1

    @FEW
    @given(plans())
    def test_the_same_seed_gives_the_same_plan_whatever_the_order_of_the_cases(self, plan: Plan) -> None:
        cases, *rest = plan
        assert made(plan) == made((cases[::-1], *rest))  # type: ignore[arg-type]

    def test_another_seed_gives_another_plan(self) -> None:
        cases, readers = [f"c{n}" for n in range(50)], [Reader(f"r{n}") for n in range(5)]
        one, other = (assign(cases, readers, Design(common=5, seed=seed)) for seed in (1, 2))
        assert one != other

    def test_places_count_up_in_every_list(self) -> None:
        turns = assign([f"c{n}" for n in range(40)], [Reader(f"r{n}") for n in range(4)], Design(common=3))
        for name in "r0", "r1", "r2", "r3":
            places = sorted(turn.place for turn in turns if turn.reader == name)
            assert places == list(range(len(places)))

    def test_the_regions_thousand_cases(self) -> None:
        cases = [f"{n:04d}" for n in range(1, 1001)]
        readers = [Reader(f"R{n:02d}") for n in range(1, 38)]
        hospital = {case: str(index // 50) for index, case in enumerate(cases)}
        turns = assign(cases, readers, Design(seed=8), test=set(cases[::5]), strata=hospital)
        loads = workload(turns)
        assert {sum(load.values()) for load in loads.values()} == {61, 62}
        assert all(load[Purpose.COMMON] == 20 and load[Purpose.REREAD] == 2 for load in loads.values())
        # no reader is tied to a hospital: each reads from most of the twenty
        assert min(len({hospital[t.case] for t in turns if t.reader == r.name}) for r in readers) >= 14

    @pytest.mark.parametrize(
        ("cases", "readers", "design", "test", "says"),
        [
            (["a", "a"], [Reader("r")], Design(common=0), (), "case 'a' is named twice"),
            (["a"], [Reader("r"), Reader("r")], Design(common=0), (), "reader 'r' is named twice"),
            (["a"], [Reader("r", 0.0)], Design(common=0), (), "r has a share of 0.0"),
            (["a"], [Reader("r")], Design(common=2), (), "2 common cases are asked for; 1"),
            (["a"], [Reader("r")], Design(common=0), ("b",), "'b' of the test set is not among"),
            (["a"], [Reader("r")], Design(common=0), ("a",), "1 readers cannot read a case 3 times"),
        ],
    )
    def test_what_cannot_be_given_out_is_refused_with_the_numbers(
        self, cases: list[str], readers: list[Reader], design: Design, test: tuple[str, ...], says: str
    ) -> None:
        with pytest.raises(CannotAssign, match=says):
            assign(cases, readers, design, test=test)


class TestHandOver:
    @FEW
    @given(plans(), st.data())
    def test_what_a_leaver_has_not_read_goes_to_who_does_not_read_it(
        self, plan: Plan, data: st.DataObject
    ) -> None:
        turns = made(plan)
        leaver = data.draw(st.sampled_from(plan[1])).name
        mine = [turn for turn in turns if turn.reader == leaver]
        done = {(t.reader, t.case, t.read_no) for t in mine[: data.draw(st.integers(0, len(mine)))]}
        after = hand_over(turns, leaver, done=done)
        left = [turn for turn in after.turns if turn.reader == leaver]
        assert {(t.reader, t.case, t.read_no) for t in left} == done
        assert len(after.turns) + len(after.dropped) + len(after.unplaced) == len(turns)
        firsts_after = Counter((turn.reader, turn.case) for turn in after.turns if turn.read_no == 1)
        assert max(firsts_after.values(), default=1) == 1
        assert {turn.purpose for turn in after.dropped} <= {Purpose.REREAD, Purpose.COMMON}
        read = {turn.case for turn in after.turns} | {turn.case for turn in after.unplaced}
        assert {turn.case for turn in turns if turn.purpose is not Purpose.COMMON} <= read
        assert after == hand_over(turns, leaver, done=done)

    def test_the_least_busy_take_over(self) -> None:
        turns = assign([f"c{n}" for n in range(30)], [Reader(f"r{n}") for n in range(3)], Design(common=0))
        after = hand_over(turns, "r0")
        loads = Counter(turn.reader for turn in after.turns)
        assert abs(loads["r1"] - loads["r2"]) <= 3
        only = hand_over(turns, "r0", to={"r1"})
        assert {turn.reader for turn in only.moved} == {"r1"}

    def test_a_case_that_everybody_reads_stays_open(self) -> None:
        turns = assign(["a"], [Reader("r0"), Reader("r1"), Reader("r2")], Design(common=0), test={"a"})
        after = hand_over(turns, "r0")
        assert [turn.case for turn in after.unplaced] == ["a"]
        assert replace(after.unplaced[0], place=0) in turns


def test_leave_lowers_a_share_by_its_days() -> None:
    first, last = date(2026, 12, 1), date(2026, 12, 10)
    assert share_of(first, last, []) == 1
    assert share_of(first, last, [(date(2026, 11, 1), date(2026, 12, 5))]) == pytest.approx(0.5)
    assert share_of(first, last, [(first, date(2026, 12, 2)), (date(2026, 12, 2), date(2026, 12, 3))]) == (
        pytest.approx(0.7)
    )
    with pytest.raises(CannotAssign, match="has no day"):
        share_of(last, first, [])
