"""Write simulated head CT studies as DICOM folders with a manifest that tells the truth about them.

python -m training.simulate OUT --n 100 --seed 1 --mix train [--template FOLDER]
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from pydicom import dcmread

from model.phantom import Fault, Lesion, Phantom, simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.phantom_faults import FAULTS
from model.stroke import Refusal, StrokeType
from training.template import load_template

SIMULATED_SIDE = 256
"""Larger images are enlarged from this size: a real scanner resolves no more in a soft kernel."""

REFUSED_FOR: dict[Fault, Refusal] = {
    Fault.CONTRAST: Refusal.CONTRAST,
    Fault.CONTRAST_UNTAGGED: Refusal.CONTRAST,
    Fault.METAL: Refusal.ARTEFACT,
    Fault.SKULL_DEFECT: Refusal.POST_SURGERY,
    Fault.CHILD: Refusal.UNDER_18,
    Fault.MISSING_SLICES: Refusal.MISSING_SLICES,
    Fault.MR: Refusal.NOT_CT,
    Fault.CHEST: Refusal.NOT_HEAD,
    Fault.TRUNCATED_PIXELS: Refusal.UNDECODABLE,
    Fault.TRUNCATED_FILE: Refusal.UNDECODABLE,
}
"""The reason a correct hub gives; a fault not listed must not keep a study from being assessed."""

REVIEWED_FOR = frozenset({Fault.MOTION, Fault.CRANIOTOMY})
"""What calls for a person: such a study must not be cleared, whether refused or left for review."""

FLAGGED_FOR = (StrokeType.ANY_ICH, StrokeType.ACUTE_ISCHAEMIA, StrokeType.HYPERDENSE_ARTERY)


@dataclass(frozen=True, slots=True)
class CasePlan:
    """One study to be simulated."""

    name: str
    seed: int
    lesions: tuple[str | Lesion, ...] = ()
    faults: tuple[Fault, ...] = ()
    dialect: int = 0
    """Index into `DIALECTS`."""
    age: float | None = None
    tilt_deg: float = 0.0
    kernel: str = "soft"
    slices: int = 28
    spacing_mm: float = 5.0
    bone: bool = False
    extras: bool = False


DEMO: tuple[tuple[str, tuple[str | Lesion, ...], tuple[Fault, ...], float], ...] = (
    ("bleed-into-ventricles", (Lesion("iph", 2.0, "right", "putamen"), Lesion("ivh", 1.3)), (), 58),
    ("normal", (), (), 44),
    ("subdural", (Lesion("sdh", 1.6, "left", "acute"),), (), 79),
    ("subarachnoid", (Lesion("sah", 1.3, site="basal"),), (), 52),
    ("old-infarct", (Lesion("old_infarct", 1.0, "left", "mca"),), (), 71),
    (
        "acute-infarct",
        (Lesion("infarct", 1.3, "right", "mca"), Lesion("hyperdense_artery", None, "right")),
        (),
        66,
    ),
    ("contrast", (), (Fault.CONTRAST,), 49),
    ("child", (), (Fault.CHILD,), 12),
    ("missing-slices", (Lesion("iph", 1.0, "left", "thalamus"),), (Fault.MISSING_SLICES,), 63),
    ("normal-elderly", (), (Fault.NAME_CP874_AS_LATIN1, Fault.BUDDHIST_DATES), 83),
    ("epidural", (Lesion("edh", 1.2),), (Fault.DUPLICATE_SLICES,), 27),
)


def demo_plans(count: int, seed: int) -> Iterator[CasePlan]:
    """Yield the showy set, again with other seeds if more are asked for."""
    for index in range(count):
        name, lesions, faults, age = DEMO[index % len(DEMO)]
        yield CasePlan(
            name=f"{index + 1:04d}-{name}",
            seed=seed * 1000 + index,
            lesions=lesions,
            faults=faults,
            dialect=index % len(DIALECTS),
            age=float(age),
            tilt_deg=(0.0, 12.0, 0.0, 17.5)[index % 4],
            bone=index == 1,
            extras=True,
        )


def fault_plans(count: int, seed: int) -> Iterator[CasePlan]:
    """Yield each fault in turn; those that only spoil headers go with a bleed that must still be found."""
    for index in range(count):
        fault = FAULTS[index % len(FAULTS)]
        lesions = () if fault in REFUSED_FOR or fault in REVIEWED_FOR else (Lesion("iph", 1.5),)
        yield CasePlan(
            name=f"{index + 1:04d}-{fault.value.replace('_', '-')}",
            seed=seed * 1000 + index,
            lesions=lesions,
            faults=(fault,),
            dialect=index % len(DIALECTS),
            tilt_deg=12.0 * (index % 2),
            extras=index % 3 == 0,
        )


TRAIN_ODDS: dict[tuple[str, ...], float] = {
    (): 0.34,
    ("iph",): 0.13,
    ("iph", "ivh"): 0.06,
    ("ivh",): 0.03,
    ("sah",): 0.08,
    ("sdh",): 0.08,
    ("edh",): 0.04,
    ("sdh", "sah"): 0.02,
    ("infarct",): 0.10,
    ("infarct", "hyperdense_artery"): 0.04,
    ("hyperdense_artery",): 0.02,
    ("old_infarct",): 0.04,
    ("old_infarct", "iph"): 0.02,
}


def train_plans(count: int, seed: int) -> Iterator[CasePlan]:
    """Yield a mix of normal and abnormal heads in all kinds of technique."""
    kinds = list(TRAIN_ODDS)
    odds = np.array(list(TRAIN_ODDS.values()))
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        lesions = kinds[int(rng.choice(len(kinds), p=odds / odds.sum()))]
        spacing = float(rng.choice([5.0, 4.0, 3.0], p=[0.7, 0.15, 0.15]))
        yield CasePlan(
            name=f"{index + 1:05d}-{'-'.join(lesions) or 'normal'}",
            seed=seed * 1_000_000 + index,
            lesions=lesions,
            dialect=int(rng.integers(len(DIALECTS))),
            tilt_deg=float(rng.choice([0.0, rng.uniform(5, 20)])),
            kernel=str(rng.choice(["soft", "standard"], p=[0.7, 0.3])),
            slices=round(float(rng.uniform(120, 155)) / spacing),
            spacing_mm=spacing,
        )


MIXES = {"demo": demo_plans, "train": train_plans, "faults": fault_plans}


def expected(phantom: Phantom) -> tuple[str, list[str]]:
    """Return the outcome a correct hub reaches and, if that is a refusal, its reasons."""
    reasons = sorted({REFUSED_FOR[f].value for f in phantom.faults if f in REFUSED_FOR})
    if reasons:
        return "refused", reasons
    if any(phantom.labels[t] for t in FLAGGED_FOR):
        return "flagged", []
    return ("review" if REVIEWED_FOR & set(phantom.faults) else "clear"), []


def lesion_ml(phantom: Phantom) -> dict[str, float]:
    """Volume of what is there, by stroke type; any_ich is the union of all blood."""
    voxel_ml = float(np.prod(phantom.spacing_mm)) / 1000
    return {str(kind): round(float(mask.sum()) * voxel_ml, 2) for kind, mask in phantom.masks.items()}


def write_case(plan: CasePlan, out: Path, side: int, template: Path | None = None) -> dict[str, object]:
    """Simulate and write one study, on the anatomy of a template where its folder is given.

    Returns:
        Its row of the manifest.
    """
    phantom = simulate_head(
        plan.seed,
        lesions=plan.lesions,
        side=min(side, SIMULATED_SIDE),
        slices=plan.slices,
        spacing_mm=plan.spacing_mm,
        tilt_deg=plan.tilt_deg,
        kernel=plan.kernel,
        faults=plan.faults,
        age=plan.age,
        template=None if template is None else load_template(template),
    )
    dialect = DIALECTS[plan.dialect]
    patient = draw_patient(plan.seed, phantom.age)
    folder = out / plan.name
    files = write_series(
        phantom, folder, dialect=dialect, patient=patient, side=side, bone=plan.bone, extras=plan.extras
    )
    outcome, reasons = expected(phantom)
    return {
        "case": plan.name,
        "seed": plan.seed,
        "study_instance_uid": str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID),
        "source": "simulated",
        "anatomy": "analytic" if template is None else "template",
        "patient": f"head-{plan.seed}",
        "dialect": dialect.name,
        "lesions": [lesion if isinstance(lesion, str) else lesion.kind for lesion in plan.lesions],
        "labels": {t.value: phantom.labels[t] for t in StrokeType},
        "faults": [fault.value for fault in phantom.faults],
        "expected": {"outcome": outcome, "reasons": reasons},
        "lesion_ml": lesion_ml(phantom),
        "age": round(phantom.age, 1),
        "sex": patient.sex,
        "kernel": plan.kernel,
        "tilt_deg": plan.tilt_deg,
        "spacing_mm": plan.spacing_mm,
        "files": [str(path.relative_to(out)) for path in files],
    }


def simulate(
    out: Path, plans: Sequence[CasePlan], *, side: int, workers: int, template: Path | None = None
) -> Path:
    """Write every planned study and the manifest, one JSON row a case in the order of the plans."""
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.jsonl"
    with manifest.open("w", encoding="utf-8") as rows:
        for index, row in enumerate(run(plans, out, side, workers, template), start=1):
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
            print(f"{index}/{len(plans)} {row['case']}", file=sys.stderr, flush=True)
    return manifest


def run(
    plans: Sequence[CasePlan], out: Path, side: int, workers: int, template: Path | None
) -> Iterator[dict[str, object]]:
    """Yield the manifest rows, made by this process or by several."""
    if workers <= 1:
        yield from map(write_case, plans, repeat(out), repeat(side), repeat(template))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(write_case, plans, repeat(out), repeat(side), repeat(template))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.simulate", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to write; one folder a study below it")
    parser.add_argument("--n", type=int, default=len(DEMO), help="number of studies")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, default=512, help="rows and columns of the images")
    parser.add_argument("--mix", choices=sorted(MIXES), default="demo")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--template", type=Path, help="folder of a CT template to take the anatomy from")
    options = parser.parse_args(arguments)
    plans = list(MIXES[options.mix](options.n, options.seed))
    try:
        if options.template is not None:
            load_template(options.template)
    except (FileNotFoundError, ValueError) as unusable:
        print(unusable, file=sys.stderr)
        return 1
    manifest = simulate(
        options.out, plans, side=options.side, workers=options.workers, template=options.template
    )
    print(manifest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
