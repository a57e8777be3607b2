"""Make the cases of a recipe once, and keep them in its cache folder."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from training.cases import Case, load_cases, save_case
from training.decoys import decoy_case
from training.paint import paint_case, survey
from training.phantoms import phantom_case
from training.recipe import Recipe
from training.sich import bleeding_case, clean_case, read_patients, read_study

CASES_VERSION = 2
"""Raised whenever simulator, painting or decoys draw other pixels from an equal recipe."""


def prepare_cases(recipe: Recipe) -> list[Case]:
    """All cases of a recipe, from the cache where they are there already."""
    home = recipe.cache / _key(recipe)
    _make_phantoms(recipe, home / "phantom")
    folders = [home / "phantom"]
    if recipe.sich is not None:
        _make_heads(recipe, recipe.sich, home)
        folders += [home / "sich", home / "clean", home / "painted", home / "decoy"]
    used = set(recipe.share) | {"clean"}
    return [case for case in load_cases(folders) if case.card.source in used]


def _key(recipe: Recipe) -> str:
    """A folder name that changes with whatever changes the pixels."""
    shape = recipe.network
    words = [CASES_VERSION, shape.side, shape.grid_mm, recipe.num_painted, recipe.num_decoys]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]


def _make_phantoms(recipe: Recipe, folder: Path) -> None:
    for seed in range(recipe.num_phantoms):
        if not (folder / f"phantom-{seed:05d}.json").exists():
            save_case(phantom_case(seed, recipe.network), folder)


def _make_heads(recipe: Recipe, sich: Path, home: Path) -> None:
    for patient in read_patients(sich):
        done = home / "done" / patient
        if done.exists():
            continue
        for case in head_cases(recipe, sich, patient):
            save_case(case, home / case.card.source)
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(json.dumps(asdict(recipe.network)), encoding="utf-8")


def head_cases(recipe: Recipe, sich: Path, patient: str) -> Iterator[Case]:
    """One real head as it is, without its bleed, with painted bleeds, and with decoys."""
    grid_mm = recipe.network.grid_mm
    study = read_study(sich, patient, side=recipe.network.side, grid_mm=grid_mm)
    yield bleeding_case(study)
    clean = clean_case(study)
    if clean is None:
        return
    yield clean
    ground = survey(clean, grid_mm=grid_mm)
    if ground is None:
        return
    for number in range(recipe.num_decoys):
        yield decoy_case(clean, ground, seed=int(patient) * 100 + number)
    for number in range(recipe.num_painted):
        painted = paint_case(clean, ground, seed=int(patient) * 100 + number, grid_mm=grid_mm)
        if painted is not None:
            yield painted
