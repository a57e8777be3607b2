"""Make the cases of a recipe once, in several processes, and keep them in its cache folder."""

import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from model.stroke import StrokeType
from training.cases import Case, load_cases, save_case
from training.decoys import decoy_case
from training.importers.infarct import infarct_cases
from training.insert import insert_case, twin_case
from training.paint import paint_case, survey
from training.phantoms import phantom_case, template_case
from training.recipe import Recipe
from training.sich import bleeding_case, clean_case, read_patients, read_study
from training.template import load_template
from training.youth import rejuvenated

CASES_VERSION = 5
"""Raised whenever simulator, painting or decoys draw other pixels from an equal recipe."""
HEADS_AT_ONCE = 8
TELL_EVERY_S = 5.0
YOUNG = 3
"""Every third head that something is painted into is made young first."""


@dataclass(frozen=True, slots=True)
class Job:
    """Some cases that one process makes."""

    source: str
    """phantom, template, sich (with the heads made of it) or infarct."""
    name: str
    """Of the file that says that it is done."""
    numbers: tuple[int, ...] = ()
    """Seeds of phantoms or of heads from the templates."""


def prepare_cases(recipe: Recipe) -> list[Case]:
    """All cases of a recipe, from the cache where they are there already."""
    home = recipe.cache / _key(recipe)
    done = home / "done"
    todo = [job for job in plan(recipe) if not (done / job.name).exists()]
    if todo:
        done.mkdir(parents=True, exist_ok=True)
        _make_all(recipe, home, todo)
    folders = [home / source for source in sorted({"clean", *recipe.share} - {"real"})]
    return load_cases(folders) + load_cases(recipe.cases)


def plan(recipe: Recipe) -> list[Job]:
    """What has to be made, the longest jobs first."""
    jobs = [Job("infarct", "infarct")] if recipe.infarct is not None else []
    if recipe.sich is not None:
        jobs += [Job("sich", f"sich-{patient}") for patient in read_patients(recipe.sich)]
    for source, count in (("template", recipe.num_templates), ("phantom", recipe.num_phantoms)):
        if source in recipe.share:
            for first in range(0, count, HEADS_AT_ONCE):
                seeds = tuple(range(first, min(first + HEADS_AT_ONCE, count)))
                jobs.append(Job(source, f"{source}-{first}-{len(seeds)}", seeds))
    return jobs


def make(recipe: Recipe, home: Path, job: Job) -> int:
    """Make and save the cases of a job; returns their number."""
    count = 0
    for case in _cases(recipe, job):
        save_case(case, home / case.card.source)
        count += 1
    (home / "done" / job.name).write_text(json.dumps(asdict(recipe.network)), encoding="utf-8")
    return count


def _cases(recipe: Recipe, job: Job) -> Iterator[Case]:
    if job.source == "phantom":
        yield from (phantom_case(seed, recipe.network) for seed in job.numbers)
    elif job.source == "template":
        assert recipe.templates is not None
        template = load_template(recipe.templates)
        yield from (template_case(seed, recipe.network, template) for seed in job.numbers)
    elif job.source == "infarct":
        assert recipe.infarct is not None
        yield from infarct_cases(recipe.infarct, side=recipe.network.side, grid_mm=recipe.network.grid_mm)
    else:
        assert recipe.sich is not None
        yield from head_cases(recipe, recipe.sich, job.name.removeprefix("sich-"))


def _make_all(recipe: Recipe, home: Path, jobs: Sequence[Job]) -> None:
    started = told = time.monotonic()
    for number, count in enumerate(_counts(recipe, home, jobs), start=1):
        now = time.monotonic()
        if now - told > TELL_EVERY_S or number == len(jobs):
            told, left = now, (now - started) / number * (len(jobs) - number)
            print(f"prepared {number}/{len(jobs)} (last: {count} cases), {left:.0f} s left", file=sys.stderr)


def _counts(recipe: Recipe, home: Path, jobs: Sequence[Job]) -> Iterator[int]:
    if recipe.workers <= 1:
        yield from (make(recipe, home, job) for job in jobs)
        return
    # spawned, not forked: a fork of a process that has touched a GPU or has threads may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(recipe.workers, mp_context=context) as workers:
        yield from workers.map(make, [recipe] * len(jobs), [home] * len(jobs), jobs)


def _key(recipe: Recipe) -> str:
    """A folder name that changes with whatever changes the pixels."""
    shape = recipe.network
    words = [CASES_VERSION, shape.side, shape.grid_mm, recipe.num_painted, recipe.num_decoys]
    words += [recipe.num_twins, recipe.num_ischaemic, recipe.num_phantoms, recipe.num_templates]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]


def head_cases(recipe: Recipe, sich: Path, patient: str) -> Iterator[Case]:
    """One real head as it is, without its bleed, with painted bleeds, decoys, pastes, and ischaemia."""
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
    first = int(patient) * 100
    young = rejuvenated(ground, np.random.default_rng((3, first)))
    for seed in range(first, first + recipe.num_decoys):
        yield decoy_case(clean, young if seed % YOUNG == 0 else ground, seed=seed)
    for seed in range(first, first + recipe.num_twins):
        yield twin_case(clean, young if seed % YOUNG == 1 else ground, seed=seed, grid_mm=grid_mm)
    for seed in range(first, first + recipe.num_painted):
        painted = paint_case(clean, young if seed % YOUNG == 2 else ground, seed=seed, grid_mm=grid_mm)
        if painted is not None:
            yield painted
    for seed in range(first, first + recipe.num_ischaemic):
        kinds = (StrokeType.ACUTE_ISCHAEMIA, StrokeType.HYPERDENSE_ARTERY)[: 1 + seed % 2]
        darkened = insert_case(clean, ground, seed=seed, grid_mm=grid_mm, kinds=kinds)
        if darkened is not None:
            yield darkened
