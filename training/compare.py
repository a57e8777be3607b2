"""Two packages on the same studies: `python -m training.compare NEW/report.json OLD/report.json`

Both reports are those of `training.evaluate` on one manifest. AUROCs are compared by DeLong's paired test,
and the new one is called not worse where the interval of the difference stays above -MARGIN.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.stroke import StrokeType
from training.intervals import paired_auroc
from training.report import POPULATIONS

MARGIN = 0.01


def compare(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row by population and stroke type over the studies that both reports hold with equal labels.

    Raises:
        ValueError: they share no study, or differ on a label.
    """
    known = {study["case"]: study for study in old["studies"]}
    shared = [(study, known[study["case"]]) for study in new["studies"] if study["case"] in known]
    if not shared:
        raise ValueError("the reports share no study")
    differ = [mine["case"] for mine, theirs in shared if mine["labels"] != theirs["labels"]]
    if differ:
        raise ValueError(f"the reports differ on the truth of {len(differ)} studies, first {differ[0]!r}")
    rows = []
    for population in POPULATIONS:
        for kind in StrokeType:
            pairs = [(a, b) for a, b in shared if a["population"] == population and kind in a["labels"]]
            found = paired_auroc(
                [a["probabilities"][kind] for a, _ in pairs],
                [b["probabilities"][kind] for _, b in pairs],
                [a["labels"][kind] for a, _ in pairs],
            )
            if found is not None:
                not_worse = found.difference.low > -MARGIN
                rows.append(
                    {
                        "population": population,
                        "stroke_type": str(kind),
                        **asdict(found),
                        "not_worse": not_worse,
                    }
                )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exit code 0, 1 if any haemorrhage is worse in a population, 2 if nothing compares."""
    parser = argparse.ArgumentParser(
        prog="python -m training.compare", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("new", type=Path)
    parser.add_argument("old", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    try:
        new, old = (json.loads(path.read_text(encoding="utf-8")) for path in (options.new, options.old))
        rows = compare(new, old)
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot compare: {error}", file=sys.stderr)
        return 2
    print(f"{new['model']} against {old['model']}")
    print("| population | type | new | old | difference | p | not worse |\n" + "| --- " * 7 + "|")
    for row in rows:
        d = row["difference"]
        print(
            f"| {row['population']} | {row['stroke_type']} | {row['first']:.3f} | {row['second']:.3f} "
            f"| {d['value']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f}) | {row['p_value']:.3f} "
            f"| {'yes' if row['not_worse'] else 'not shown'} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    worse = [
        row for row in rows if row["stroke_type"] == StrokeType.ANY_ICH and row["difference"]["high"] < 0
    ]
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
