"""The campaign's table and bars, from its journal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.campaign_journal import Journal
from benchmarks.campaign_models import FIRST, TRAINED
from benchmarks.table import Bar, Row, at_least


def rows(journal: Journal, names: Sequence[str]) -> list[Row]:
    """The table: a line a stage."""
    found: list[Row] = []
    for name in names:
        figures = journal.figures(name)
        if figures is None:
            continue
        text = ", ".join(f"{key} {_short(value)}" for key, value in figures.items() if _short(value))
        line: dict[str, Any] = {"stage": name, "seconds": round(journal.seconds(name), 1)}
        load = "-" if (noted := journal.load(name)) is None else noted
        found.append({**line, "begun": journal.attempts(name), "load": load, "figures": text})
    return found


def bars(journal: Journal, count: int) -> list[Bar]:
    """What the campaign must reach."""

    def figure(stage: str, name: str) -> Any:
        return (journal.figures(stage) or {}).get(name)

    def share(stage: str, part: str, whole: str) -> float | None:
        top, bottom = figure(stage, part), figure(stage, whole)
        return top / bottom if top is not None and bottom else None

    outcomes = journal.figures("analyse")
    wrong = figure("screen", "not as they should be")
    torn = figure("guard", "torn apart")
    return [
        at_least(
            "studies with an outcome", None if outcomes is None else sum(outcomes.values()) / count, 1.0
        ),
        at_least("seeded contradictions shown and settled", share("screen", "found", "seeded"), 1.0),
        Bar(
            "cases screened otherwise than they should be", wrong, "0", None if wrong is None else wrong == 0
        ),
        at_least("planned reads that were made", share("read", "read", "planned"), 1.0),
        at_least("planted patients found", share("guard", "found to be one patient", "pairs"), 1.0),
        at_least(
            "attempts to tear one apart that were refused",
            share("guard", "refused", "tried to tear apart"),
            1.0,
        ),
        Bar("planted patients torn apart", torn, "0", None if torn is None else torn == 0),
        at_least(
            "seeded skill in the agreement, rank correlation", figure("agreement", "rank correlation"), 0.8
        ),
        *_loop_bars(figure),
    ]


def _loop_bars(figure: Callable[[str, str], Any]) -> Iterator[Bar]:
    """Which package told of the study that followed each step; 1 where it was the right one."""
    for stage in ("refuse", "refuse again"):
        refused = figure(stage, "refused")
        yield Bar(f"{stage}: the worse package is refused", refused, "1", _is(refused, 1))
    for stage, wanted in (
        ("shadow", FIRST),
        ("refuse", FIRST),
        ("promote", TRAINED),
        ("refuse again", TRAINED),
        ("roll back", FIRST),
    ):
        reads = figure(stage, "told by" if stage == "shadow" else "reads")
        right = _is(reads, wanted)
        yield Bar(f"{stage}: read by {wanted}", None if right is None else int(right), "1", right)


def _is(value: Any, wanted: Any) -> bool | None:
    return None if value is None else bool(value == wanted)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_short(each)}" for key, each in value.items())
    if isinstance(value, list):
        return f"{len(value)}"
    return str(value)
