"""Make, move and finish model packages: `python -m training.package build|convert|export ...`

    build RECIPE WEIGHTS --package DIR [--scores FILE]   from trained weights: export, calibrate, seal
    card PACKAGE [--eval FILE...] [--history TEXT]       put measurements in, write the card anew, seal
    convert OLD NEW                                      from the old layout (weights.pt) to this one
    export PACKAGE [--out FILE]                          the torch.export program, models/model.pt2

Calibration takes the scores of held-out patients: from a file with a row a study (see `read_scores`), or by
scoring the recipe's own prepared cases.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from model.calibration import TypeCalibration, sigmoid
from model.engine import candidates, open_engine
from model.export import export_program
from model.network import NetworkShape, StrokeNet
from model.stroke import StrokeType
from model.weights import (
    METADATA,
    MODELS,
    GoldenStudy,
    graph_of,
    load_artefact,
    load_network,
    save_golden,
    save_network,
    save_parts,
    seal,
)
from training.bundle import bundle_keys, describe
from training.calibrate import calibrate
from training.card import licence_text, write_card
from training.data import Split, split_patients
from training.phantoms import phantom_case
from training.prepare import prepare_cases
from training.recipe import Recipe, load_recipe
from training.report import ScoredStudy, mask_hits, paired, summarise
from training.scores import Scores, embed_heads, read_scores, score_split

GOLDEN_SEEDS = (900_001, 900_004)
"""Of simulated heads that no recipe trains on; small, since every start of a detector reads them."""
GOLDEN_SLICES = 8
GOLDEN_HU = (-25, 105)
"""A little beyond every window of the network: what lies outside it cannot see, and would only cost bytes."""
MOST_ROUNDED = 1e-3
"""Largest difference of a probability on the golden studies that fp16 weights may make."""


def write_package(recipe: Recipe, net: StrokeNet, split: Split, path: Path) -> str:
    """Write and seal the package of a trained network; returns its digest. `net` is rounded to fp16."""
    rounding = write_network(recipe, net, path)
    kind = next(kind for kind in candidates("auto") if "bf16" not in kind)
    engine = open_engine(kind, path, graph_of(path), recipe.threads)
    return finish(recipe, path, score_split(engine.run, recipe, split), rounding)


def write_network(recipe: Recipe, net: StrokeNet, path: Path) -> float:
    """Write network and golden studies; returns by how much fp16 moved a probability of theirs.

    Raises:
        ValueError: by more than MOST_ROUNDED.
    """
    golden = golden_studies(recipe.network)
    before = [logits_of(net, study) for study in golden]
    save_network(path, net)
    after = [logits_of(net, study) for study in golden]
    moved = max(float(np.abs(sigmoid(a) - sigmoid(b)).max()) for a, b in zip(before, after, strict=True))
    if not moved <= MOST_ROUNDED:  # a weight beyond the range of fp16 gives nan
        raise ValueError(f"fp16 weights move a probability by {moved:.4f}, more than {MOST_ROUNDED}")
    named = [replace(s, logits=tuple(map(float, row))) for s, row in zip(golden, after, strict=True)]
    save_golden(path, named)
    return moved


def finish(recipe: Recipe, path: Path, scores: Scores, rounding: float) -> str:
    """Calibrate, measure and seal a package whose network is written."""
    calibrations = {kind: calibrate(kind, scores.calibration, recipe) for kind in StrokeType}
    report = {"report": measure(scores.test, calibrations)}
    metadata = describe(recipe, calibrations, scores, rounding)
    save_parts(
        path,
        metadata=metadata,
        calibrations=calibrations,
        usual=scores.usual(),
        report=report["report"],
        card=write_card(metadata, calibrations, report),
        licence=licence_text("sich" in metadata["trained_on"]),
    )
    (path / "configs" / "train.json").write_text(
        json.dumps(recipe.to_json(), indent=1) + "\n", encoding="utf-8"
    )
    return seal(path)


def measure(
    test: Sequence[ScoredStudy], calibrations: Mapping[StrokeType, TypeCalibration]
) -> dict[str, Any]:
    """Figures on the test patients, whom neither training nor calibration has seen."""
    # clean heads are the negatives of the painted ones, too
    clean = [replace(study, population="painted") for study in test if study.name.startswith("clean-")]
    return {
        "figures": summarise([*test, *clean], calibrations),
        "paired_sich": paired(test, "sich"),
        "mask_hits": {name: mask_hits(test, name) for name in ("sich", "painted", "phantom")},
        "num_test_cases": len(test),
    }


def golden_studies(shape: NetworkShape) -> list[GoldenStudy]:
    """Two simulated studies, cut short, without answers."""
    studies = []
    for seed in GOLDEN_SEEDS:
        case = phantom_case(seed, shape)
        middle = max(0, (len(case.hu) - GOLDEN_SLICES) // 2)
        part = slice(middle, middle + GOLDEN_SLICES)
        hu = np.clip(case.hu[part], *GOLDEN_HU).astype(np.float32)
        studies.append(GoldenStudy(f"phantom-{seed}", hu, case.z()[part], ()))
    return studies


def logits_of(net: StrokeNet, study: GoldenStudy) -> npt.NDArray[np.float64]:
    """What torch says of a study."""
    net.eval()
    with torch.inference_mode():
        logits = net(torch.from_numpy(study.hu)[None], torch.from_numpy(study.z)[None])[0][0]
    return np.asarray(logits.numpy(), np.float64)


def build(recipe_path: Path, weights: Path, path: Path, scores: Path | None, sich: Path | None = None) -> str:
    """A package from trained weights: .safetensors, or a checkpoint with `ema` or `net` in it."""
    recipe = load_recipe(recipe_path)
    net = StrokeNet(recipe.network)
    net.load_state_dict(read_state(weights))
    if scores is None:
        return write_package(recipe, net.eval(), split_patients(prepare_cases(recipe), recipe.held_out), path)
    rounding = write_network(recipe, net.eval(), path)
    found = read_scores(scores)
    if found.out_of_fold:
        # the folds' networks have other embeddings than the shipped one
        kind = next(kind for kind in candidates("auto") if "bf16" not in kind)
        run = open_engine(kind, path, graph_of(path), recipe.threads).run
        found = replace(found, embeddings=embed_heads(run, recipe, sich))
    return finish(recipe, path, found, rounding)


def read_state(weights: Path) -> dict[str, torch.Tensor]:
    """Weights by name, in fp32."""
    if weights.suffix == ".safetensors":
        state = load_file(weights)
    else:
        found = torch.load(weights, weights_only=True, map_location="cpu")
        state = found.get("ema") or found.get("net") or found
    names = {name.removeprefix("module."): value for name, value in state.items() if name != "n_averaged"}
    return {name: value.float() if value.is_floating_point() else value for name, value in names.items()}


def renew_card(path: Path, files: Sequence[Path], history: str | None) -> str:
    """Put measurements into a package as eval/NAME.json, write its card anew, and seal it."""
    artefact = load_artefact(path)
    for file in files:
        found = json.loads(file.read_text(encoding="utf-8"))
        # every slice and every scan: the figures are enough, and the package stays small
        small = {name: value for name, value in found.items() if name not in ("rows", "scans")}
        (path / "eval" / file.name).write_text(json.dumps(small, sort_keys=True) + "\n", encoding="utf-8")
    metadata = dict(artefact.metadata)
    if history is not None:
        metadata["history"] = history
        (path / METADATA).write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    evidence = {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (path / "eval").glob("*.json")
    }
    (path / "model_card.md").write_text(
        write_card(metadata, artefact.calibrations, evidence), encoding="utf-8"
    )
    return seal(path)


def convert(old: Path, new: Path) -> str:
    """A package of the old layout in this one: same network but for rounding, same calibration and card."""
    metadata = json.loads((old / "metadata.json").read_text(encoding="utf-8"))
    shape = NetworkShape(**metadata["network"])
    net = StrokeNet(shape)
    net.load_state_dict(read_state(old / "weights.pt"))
    for name in ("calibration.json", "ood.npz", "model_card.md"):
        new.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(old / name, new / name)
    shutil.copytree(old / "eval", new / "eval", dirs_exist_ok=True)
    (new / METADATA).parent.mkdir(exist_ok=True)
    shutil.copyfile(old / "recipe.json", new / "configs" / "train.json")
    rounding = write_network(Recipe(metadata["name"], new, new, network=shape), net.eval(), new)
    added = {"rounding": {"weights": "fp16", "largest_probability_difference": rounding}}
    metadata = {**bundle_keys(metadata["name"], shape), **metadata, **added}
    (new / METADATA).write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    licence = licence_text("sich" in metadata.get("trained_on", ()))
    (new / "LICENSE").write_text(licence, encoding="utf-8")
    return seal(new)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked and print the digest or the file; exit code 0, or 2 where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m training.package", description=__doc__.splitlines()[0])
    orders = parser.add_subparsers(dest="order", required=True)
    order = orders.add_parser("build")
    order.add_argument("recipe", type=Path)
    order.add_argument("weights", type=Path)
    order.add_argument("--package", type=Path, required=True)
    order.add_argument("--scores", type=Path)
    order.add_argument(
        "--sich", type=Path, help="public slices, to learn the usual embeddings of out-of-fold scores"
    )
    order = orders.add_parser("card")
    order.add_argument("package", type=Path)
    order.add_argument("--eval", type=Path, nargs="*", default=[])
    order.add_argument("--history")
    order = orders.add_parser("convert")
    order.add_argument("old", type=Path)
    order.add_argument("new", type=Path)
    order = orders.add_parser("export")
    order.add_argument("package", type=Path)
    order.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.order == "build":
            print(build(options.recipe, options.weights, options.package, options.scores, options.sich))
        elif options.order == "card":
            print(renew_card(options.package, options.eval, options.history))
        elif options.order == "convert":
            print(convert(options.old, options.new))
        else:
            out = options.out or load_artefact(options.package).path / MODELS / "model.pt2"
            export_program(load_network(options.package), out)
            print(out)
    except (OSError, ValueError, KeyError) as error:
        print(f"{options.order}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
