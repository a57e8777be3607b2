"""Import studies as training cases: `python -m training.importers LAYOUT DATA OUT`.

LAYOUT is frozen (DATA is a manifest.jsonl), table (DATA is a folder, with --labels CSV), rsna or cq500.
OUT can then be named in a recipe's `cases`. Studies that the hub would refuse are left out; skipped.jsonl
says which and why. The public slice sets sich and infarct are named in the recipe itself.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.network import NetworkShape
from model.volume import UnreadableStudy
from training.cases import save_case
from training.importers.cq500 import cq500_studies
from training.importers.frozen import Found, frozen_studies
from training.importers.rsna import rsna_studies
from training.importers.studies import import_study
from training.importers.tables import table_studies

LAYOUTS = ("frozen", "table", "rsna", "cq500")


def main(arguments: Sequence[str] | None = None) -> int:
    """Import; exit code 0, or 2 where the data or what is said of it cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m training.importers", description=__doc__.splitlines()[0])
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=Path, help="CSV of labels; table only")
    parser.add_argument("--side", type=int, default=256, help="pixels of the grid; as in the recipe")
    parser.add_argument("--grid-mm", type=float, default=0.9, help="likewise")
    options = parser.parse_args(arguments)
    if (options.layout == "table") != (options.labels is not None):
        parser.error("--labels goes with table, and table needs it")
    try:
        shape = NetworkShape(side=options.side, grid_mm=options.grid_mm)
        imported, skipped = import_all(_studies(options), options.out, shape)
    except (OSError, ValueError) as error:
        print(f"cannot import: {error}", file=sys.stderr)
        return 2
    print(f"{imported} studies imported, {skipped} skipped, in {options.out}")
    return 0


def import_all(studies: Iterator[Found], out: Path, shape: NetworkShape) -> tuple[int, int]:
    """Save a case of every study; returns how many were imported and how many skipped.

    Raises:
        BadLabels: what is said of a study cannot be. Cases saved before stay.
    """
    out.mkdir(parents=True, exist_ok=True)
    imported = skipped = 0
    with (out / "skipped.jsonl").open("w", encoding="utf-8") as reasons:
        for paths, known in studies:
            try:
                save_case(import_study(paths, known, shape), out)
                imported += 1
            except UnreadableStudy as error:
                refusals = [str(refusal) for refusal in error.refusals]
                reasons.write(json.dumps({"study": known.name, "refusals": refusals}) + "\n")
                skipped += 1
    return imported, skipped


def _studies(options: argparse.Namespace) -> Iterator[Found]:
    if options.layout == "frozen":
        return frozen_studies(options.data)
    if options.layout == "table":
        return table_studies(options.data, options.labels)
    return (rsna_studies if options.layout == "rsna" else cq500_studies)(options.data)


if __name__ == "__main__":
    sys.exit(main())
