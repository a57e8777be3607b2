"""What every benchmark prints: a table for people, or one JSON object with its bars."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Row = Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure against the goal it must reach."""

    what: str
    value: float | None
    """None where it could not be measured here."""
    goal: str
    holds: bool | None


def at_least(what: str, value: float | None, goal: float) -> Bar:
    """A bar that holds from the goal upwards."""
    return Bar(what, _rounded(value), f">= {goal:g}", None if value is None else value >= goal)


def at_most(what: str, value: float | None, goal: float) -> Bar:
    """A bar that holds up to the goal."""
    return Bar(what, _rounded(value), f"<= {goal:g}", None if value is None else value <= goal)


def report(name: str, rows: Sequence[Row], bars: Sequence[Bar], *, as_json: bool) -> None:
    """Print the result of a benchmark."""
    if as_json:
        result = {"name": name, "machine": machine(), "rows": rows, "bars": [asdict(bar) for bar in bars]}
        print(json.dumps(result, indent=1))
        return
    print(f"{name} on {machine()}\n")
    print(render(rows))
    for bar in bars:
        word = {True: "holds", False: "MISSED", None: "not measured"}[bar.holds]
        print(f"{word:>12}  {bar.what}: {bar.value} (goal {bar.goal})")


def render(rows: Sequence[Row]) -> str:
    """Rows of equal keys as aligned text; numbers to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in [names, *cells]) for column in range(len(names))]
    lines = ["  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True))]
    for row, line in zip(rows, cells, strict=True):
        texts = zip(names, line, widths, strict=True)
        lines.append(
            "  ".join(c.ljust(w) if isinstance(row.get(n), str) else c.rjust(w) for n, c, w in texts).rstrip()
        )
    return "\n".join(lines) + "\n"


def machine() -> str:
    """The processor, how many of them, and how busy they were."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"
    )


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
