"""Who reads which case: balanced at random over the readers, with hidden overlap and blind re-reads.

Contiguous ranges (`roster`) give every case one reader, so agreement cannot be measured, and a reader's bias
cannot be told from a hospital's. Here a reader's list mixes common cases that all read, test cases that three
read, others that two read, and re-reads of own cases; nothing in the list tells which is which.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from types import MappingProxyType


class Purpose(StrEnum):
    """Why a case is read; never shown to a reader."""

    COMMON = "common"
    TEST = "test"
    DOUBLE = "double"
    SINGLE = "single"
    REREAD = "reread"
    """A second read by the same reader."""


class CannotAssign(ValueError):
    """The cases cannot be given out as asked; the text names the numbers."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader and how much of a full load they take."""

    name: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Design:
    """How much is read more than once."""

    common: int = 20
    """Cases that every reader reads."""
    test_reads: int = 3
    """Readers of every case of the test set."""
    double_share: float = 0.10
    """Share of the other cases that two read."""
    rereads: int = 2
    """Own cases that every reader reads again."""
    reread_gap: int = 10
    """At least so many other cases lie between."""
    seed: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """One read to be made."""

    reader: str
    place: int
    """In the reader's list, from 0."""
    case: str
    read_no: int
    """1, or 2 for a planned re-read."""
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A plan after a reader left."""

    turns: tuple[Turn, ...]
    moved: tuple[Turn, ...]
    """The turns that others have taken over, as they now are."""
    dropped: tuple[Turn, ...]
    """Those that nobody needs to take: re-reads, and common cases, which everybody reads."""
    unplaced: tuple[Turn, ...]
    """Those that nobody can take, for everybody else reads the case already."""


def assign(
    cases: Sequence[str],
    readers: Sequence[Reader],
    design: Design,
    *,
    test: Collection[str] = (),
    strata: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Turn, ...]:
    """Give every case to its readers; the same arguments give the same plan.

    Every reader gets the same number of reads within one, or their share of it. Cases of one stratum are
    dealt round the readers.

    Args:
        cases: Names, each once.
        readers: Who reads.
        design: How much is read more than once.
        test: Cases of the test set; none of them is common.
        strata: Hospital, or hospital and month, by case.

    Raises:
        CannotAssign: a name comes twice, a share is not above 0, or there are too few cases or readers.
    """
    _check(cases, readers, design, test)
    chance = random.Random(design.seed)
    rest = [case for case in cases if case not in set(test)]
    common = sorted(chance.sample(sorted(rest), design.common))
    single = sorted(set(rest) - set(common))
    double = set(chance.sample(single, round(design.double_share * len(single))))
    times = {case: 2 if case in double else 1 for case in single} | dict.fromkeys(test, design.test_reads)
    purposes = {case: Purpose.DOUBLE if case in double else Purpose.SINGLE for case in single}
    purposes |= dict.fromkeys(common, Purpose.COMMON) | dict.fromkeys(test, Purpose.TEST)
    lists = {reader.name: list(common) for reader in readers}
    left = _quotas(readers, sum(times.values()), len(times), chance)
    for case in _dealt(sorted(times), strata, chance):
        # those with most still to read come first: then every quota can be met (Gale and Ryser)
        first = sorted(left, key=lambda name: (-left[name], chance.random()))[: times[case]]
        for name in first:
            if not left[name]:
                raise CannotAssign(
                    f"{name} cannot take more; the shares are too uneven for {len(cases)} cases"
                )
            left[name] -= 1
            lists[name].append(case)
    return tuple(
        turn for reader in readers for turn in _list_of(reader.name, lists, purposes, design, chance)
    )


def hand_over(
    turns: Sequence[Turn],
    leaver: str,
    *,
    done: Collection[tuple[str, str, int]] = (),
    to: Collection[str] | None = None,
    seed: int = 0,
) -> HandedOver:
    """Pass on what a reader has not read yet, each case to the least busy who does not read it.

    Args:
        turns: The plan.
        leaver: Whose open turns go.
        done: Reads already made, as (reader, case, number of the read).
        to: Who may take over; all others where None.
        seed: Decides between the equally busy.
    """
    chance = random.Random(seed)
    mine = [each for each in turns if each.reader == leaver and not _is_done(each, done)]
    kept = [each for each in turns if each not in set(mine)]
    others = sorted(
        {each.reader for each in turns if each.reader != leaver and (to is None or each.reader in to)}
    )
    load = Counter(each.reader for each in kept if not _is_done(each, done))
    reads = {name: {each.case for each in kept if each.reader == name} for name in others}
    last = {name: max((each.place for each in kept if each.reader == name), default=-1) for name in others}
    moved, dropped, unplaced = [], [], []
    for turn in sorted(mine):
        if turn.purpose in (Purpose.REREAD, Purpose.COMMON):
            dropped.append(turn)
            continue
        able = [name for name in others if turn.case not in reads[name]]
        if not able:
            unplaced.append(turn)
            continue
        taker = min(able, key=lambda name: (load[name], chance.random()))
        last[taker] += 1
        load[taker] += 1
        reads[taker].add(turn.case)
        moved.append(replace(turn, reader=taker, place=last[taker]))
    return HandedOver((*kept, *moved), tuple(moved), tuple(dropped), tuple(unplaced))


def workload(turns: Sequence[Turn]) -> dict[str, Counter[Purpose]]:
    """How much each reader reads, by purpose."""
    loads: dict[str, Counter[Purpose]] = defaultdict(Counter)
    for turn in turns:
        loads[turn.reader][turn.purpose] += 1
    return dict(loads)


def share_of(first: date, last: date, leaves: Sequence[tuple[date, date]]) -> float:
    """Share of the days from `first` to `last` on which a reader is not on leave; both ends included."""
    days = (last - first).days + 1
    if days < 1:
        raise CannotAssign(f"a campaign from {first} to {last} has no day")
    away = {
        day
        for start, end in leaves
        for day in range(max(start, first).toordinal(), min(end, last).toordinal() + 1)
    }
    return 1 - len(away) / days


def _check(cases: Sequence[str], readers: Sequence[Reader], design: Design, test: Collection[str]) -> None:
    names = [reader.name for reader in readers]
    for kind, words in (("case", cases), ("reader", names)):
        if twice := [word for word, count in Counter(words).items() if count > 1]:
            raise CannotAssign(f"{kind} {twice[0]!r} is named twice")
    if strange := sorted(set(test) - set(cases)):
        raise CannotAssign(f"{strange[0]!r} of the test set is not among the cases")
    if low := [reader for reader in readers if not reader.share > 0]:
        raise CannotAssign(f"{low[0].name} has a share of {low[0].share}; leave out who reads nothing")
    rest = len(cases) - len(set(test))
    if design.common > rest:
        raise CannotAssign(f"{design.common} common cases are asked for; {rest} are not in the test set")
    most = max(design.test_reads if test else 0, 2 if design.double_share and rest > design.common else 1)
    if len(readers) < most:
        raise CannotAssign(f"{len(readers)} readers cannot read a case {most} times")


def _quotas(readers: Sequence[Reader], reads: int, cases: int, chance: random.Random) -> dict[str, int]:
    """Reads of each by largest remainder, so that nobody is off their share by one or more."""
    whole = sum(reader.share for reader in readers)
    exact = {reader.name: reads * reader.share / whole for reader in readers}
    quotas = {name: int(value + 1e-9) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (quotas[name] - exact[name], chance.random()))
    for name in order[: reads - sum(quotas.values())]:
        quotas[name] += 1
    if over := [name for name, count in quotas.items() if count > cases]:
        raise CannotAssign(f"{over[0]} would read {quotas[over[0]]} of {cases} cases; even the shares out")
    return quotas


def _dealt(cases: Sequence[str], strata: Mapping[str, str], chance: random.Random) -> list[str]:
    groups: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        groups[strata.get(case, "")].append(case)
    order = list(groups.values())
    chance.shuffle(order)
    for group in order:
        chance.shuffle(group)
    return [case for group in order for case in group]


def _list_of(
    name: str,
    lists: Mapping[str, list[str]],
    purposes: Mapping[str, Purpose],
    design: Design,
    chance: random.Random,
) -> list[Turn]:
    """A reader's list in a random order; re-reads come late, each well after the first read."""
    order = sorted(lists[name])
    chance.shuffle(order)
    rows = [(case, 1, purposes[case]) for case in order]
    early = order[: max(0, len(order) - design.reread_gap)]
    for case in chance.sample(early, min(design.rereads, len(early))):
        first = next(place for place, row in enumerate(rows) if row[:2] == (case, 1))
        rows.insert(chance.randint(first + design.reread_gap + 1, len(rows)), (case, 2, Purpose.REREAD))
    return [Turn(name, place, *row) for place, row in enumerate(rows)]


def _is_done(turn: Turn, done: Collection[tuple[str, str, int]]) -> bool:
    return (turn.reader, turn.case, turn.read_no) in done
