"""Cross-validate a recipe: `python -m training.folds RECIPE.toml` trains once a fold and scores what it kept.

Writes fold-N/ (log, checkpoints, weights.safetensors) and oof.jsonl below the recipe's out folder: one row a
case with what a network says that has not seen its patient. Thresholds are set on these.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.engine import OUTPUT_NAMES, FloatArray, Outputs
from model.network import StrokeNet
from training.cases import Case
from training.data import Split, fold_split
from training.evaluate import hits
from training.pool import MIN_STUDY_SLICES, Pool
from training.prepare import prepare_cases
from training.ranks import join
from training.recipe import DEVICES, Recipe, load_recipe
from training.train import train

VARIANTS = 3
"""Painted or decoy cases scored of one head."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score every fold; exit code 0, or 2 for a recipe that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m training.folds", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--device", choices=DEVICES, help="default: the recipe's")
    parser.add_argument("--workers", type=int, help="processes that prepare cases; default: the recipe's")
    parser.add_argument("--fold", type=int, action="append", help="this fold alone; may be given again")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.recipe)
        given = {name: getattr(options, name) for name in ("device", "workers")}
        recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
        cases = prepare_cases(recipe)
        run_folds(recipe, cases, options.fold or range(recipe.folds))
    except (OSError, ValueError) as error:
        print(f"{options.recipe}: {error}", file=sys.stderr)
        return 2
    return 0


def run_folds(
    recipe: Recipe, cases: Sequence[Case], folds: Sequence[int], *, pool: Pool | None = None
) -> Path:
    """Train and score some folds; rows of these folds in oof.jsonl are replaced.

    Raises:
        ValueError: as `train`.
    """
    rank = join(recipe.device)
    path = recipe.out / "oof.jsonl"
    for fold in folds:
        split = fold_split(cases, recipe, fold)
        pool = pool or Pool([case for case in cases if case.card.source in recipe.share], rank.device)
        net = train(_of_fold(recipe, split, fold), split, rank=rank, pool=pool)
        rows = [{"fold": fold, **row} for row in score(net, split.test, rank.device)]
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in before if json.loads(line)["fold"] != fold]
        path.write_text("\n".join([*kept, *map(json.dumps, rows)]) + "\n", encoding="utf-8")
    return path


def _of_fold(recipe: Recipe, split: Split, fold: int) -> Recipe:
    """The recipe without the sources of which this fold keeps every patient."""
    there = {case.card.source for case in split.train}
    share = {name: part for name, part in recipe.share.items() if name in there}
    total = sum(share.values())
    share = {name: part / total for name, part in share.items()}
    return replace(recipe, out=recipe.out / f"fold-{fold}", share=share)


def score(net: StrokeNet, cases: Sequence[Case], device: torch.device) -> Iterator[dict[str, Any]]:
    """What a network says of whole studies, a row each; of one head a few variants only."""
    net = net.to(device).eval()
    seen: Counter[tuple[str, str]] = Counter()
    for case in cases:
        seen[case.card.source, case.card.patient] += 1
        if len(case.hu) < MIN_STUDY_SLICES or seen[case.card.source, case.card.patient] > VARIANTS:
            continue
        outputs = read_case(net, case, device)
        yield {
            "case": case.card.name,
            "source": case.card.source,
            "patient": case.card.patient,
            "labels": dict(case.card.labels),
            "logits": _plain(outputs.study),
            "slice_logits": [_plain(row) for row in outputs.slices],
            "embedding": _plain(outputs.embedding),
            "hits": hits(case, outputs),
        }


@torch.inference_mode()
def read_case(net: StrokeNet, case: Case, device: torch.device) -> Outputs:
    """All outputs for one case."""
    hu, z = torch.from_numpy(case.hu.astype(np.float32)), torch.from_numpy(case.z())
    values = net(hu[None].to(device), z[None].to(device))
    named = {name: value[0].cpu().numpy() for name, value in zip(OUTPUT_NAMES, values, strict=True)}
    return Outputs(named["study"], named["slice"], named["attention"], named["mask"], named["embedding"])


def _plain(values: FloatArray) -> list[float]:
    return [round(float(value), 4) for value in values]


if __name__ == "__main__":
    sys.exit(main())
