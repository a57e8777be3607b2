"""A model to begin with, and the one that the frozen data set makes: imported, trained, evaluated."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.campaign_hub import ROOT, Refused
from labeling.manifest import ABOUT, ROWS
from labeling.splits import HELD

FIRST, TRAINED, WORSE = "campaign-0.1.0", "campaign-0.2.0", "campaign-0.0.9"
SIDE, GRID_MM = 64, 3.5
"""Of the small network that two cores train in minutes."""
HISTORY = "Every imported study is simulated, of no patient. No figure of this package is a performance."


def train_first(folder: Path, *, quick: bool) -> dict[str, Any]:
    """A package trained on simulated heads alone, as a region has it that has labelled nothing yet."""
    return _train(
        folder,
        FIRST,
        cases=None,
        stage1=60 if quick else 300,
        stage2=20 if quick else 60,
        phantoms=64 if quick else 160,
    )


def import_set(folder: Path, data_set: Path) -> dict[str, Any]:
    """The frozen set as training cases on the network's grid."""
    out = folder / "cases"
    said = _run("training.importers", "frozen", data_set / ROWS, out, "--side", SIDE, "--grid-mm", GRID_MM)
    return {"said": said.strip().splitlines()[-1]}


def train_on_set(folder: Path, *, quick: bool) -> dict[str, Any]:
    """A package trained on the frozen set, with simulated heads for their masks."""
    return _train(
        folder,
        TRAINED,
        cases=folder / "cases",
        stage1=120 if quick else 500,
        stage2=30 if quick else 200,
        phantoms=64 if quick else 160,
    )


def train_worse(folder: Path) -> dict[str, Any]:
    """A package that has hardly learned anything, to be refused."""
    return _train(folder, WORSE, cases=folder / "cases", stage1=2, stage2=2, phantoms=64)


def evaluate(folder: Path, data_set: Path, name: str, population: str = "") -> dict[str, Any]:
    """Figures of a package on the parts that nobody trained on.

    Args:
        folder: Of the campaign.
        data_set: As it was frozen.
        name: Of the package.
        population: A word of `training.report.POPULATIONS` for all; each row's own source when left out.
    """
    held = _held(folder, data_set, population)
    out = folder / f"evaluation-{name}"
    _run("training.evaluate", package(folder, name), held, "--out", out, "--cases", 0, "--threads", 1)
    report = json.loads((out / "report.json").read_text())
    # of a handful of studies no finding is both there and absent, and there is nothing to tell
    areas = {row["stroke_type"]: row["auroc"]["value"] for row in report["figures"] if row["auroc"]}
    return {"studies": report["num_studies"], "refused": sum(report["refusals"].values()), "AUROC": areas}


def package(folder: Path, name: str) -> Path:
    """Where a package lies."""
    return folder / "packages" / name


def _held(folder: Path, data_set: Path, population: str) -> Path:
    """The rows of the held-out parts, beside links to their studies: a frozen folder is never written to."""
    held = folder / "held"
    held.mkdir(exist_ok=True)
    lines = (data_set / ROWS).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line)["split"] in HELD]
    # a handful of cases may leave the held-out parts empty; then all are asked, and no figure means anything
    kept = kept or [line for line in lines if not json.loads(line)["exclude_reason"]]
    for line in kept:
        link = held / json.loads(line)["study_key"]
        if not link.is_symlink():
            link.symlink_to((data_set / link.name).absolute(), target_is_directory=True)
    assert not (held / ABOUT).exists()
    named = [json.loads(line) | ({"source": population} if population else {}) for line in kept]
    (held / ROWS).write_text("".join(json.dumps(row) + "\n" for row in named), encoding="utf-8")
    return held / ROWS


def _train(
    folder: Path, name: str, *, cases: Path | None, stage1: int, stage2: int, phantoms: int
) -> dict[str, Any]:
    made = package(folder, name)
    if (made / "MANIFEST.sha256").is_file():
        return {"package": name}
    share = "{ phantom = 1.0 }" if cases is None else "{ phantom = 0.4, real = 0.6 }"
    recipe = folder / f"{name}.toml"
    recipe.write_text(
        f'name = "{name}"\ncache = "phantoms"\nout = "run-{name}"\ndevice = "cpu"\nprecision = "fp32"\n'
        f'history = "{HISTORY}"\nnum_phantoms = {phantoms}\nshare = {share}\n'
        + (f'cases = ["{cases.name}"]\n' if cases else "")
        + f"stage1_steps = {stage1}\nstage1_batch = 32\nstage2_steps = {stage2}\nstage2_batch = 8\n"
        "learning_rate = 4e-3\nema = 0.98\ncheckpoint_every = 50\nheld_out = [0.3, 0.1]\n"
        f'[network]\npreset = "tiny"\nside = {SIDE}\ngrid_mm = {GRID_MM}\nembedding = 16\n',
        encoding="utf-8",
    )
    made.parent.mkdir(exist_ok=True)
    _run("training.train", recipe, "--package", made)
    return {"package": name, "steps": stage1 + stage2}


def _run(module: str, *words: object) -> str:
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Refused(f"{module} ended with {done.returncode}: {done.stderr.strip()[-800:]}")
    return done.stdout
