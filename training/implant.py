"""Write positives made of one negative: a head CT without a lesion, again and again with lesions put in.

    python -m training.implant STUDY_FOLDER OUT --n 20 --seed 1

The study (any DICOM folder that the hub can read, or a template head) is resampled to the grid below, so
nothing of its header reaches OUT: patients are invented, UIDs are our own. The manifest tells the truth.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model.network import MASKS
from model.phantom import Phantom, label
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import StrokeType
from model.transforms import to_model_input
from model.volume import UnreadableStudy, load_head_ct
from training.cases import Case, CaseCard
from training.ground import BoolArray, survey
from training.insert import insert_case
from training.simulate import expected, lesion_ml

SIDE, GRID_MM = 256, 0.9
AGE = 60.0
"""Written into the header; the true age of the head is not passed on."""


def read_negative(folder: Path) -> Case:
    """Read a study that is known to hold no lesion as a case on the grid.

    Raises:
        UnreadableStudy: the hub would refuse it.
    """
    volume = load_head_ct([path for path in sorted(folder.rglob("*")) if path.is_file()])
    seen = to_model_input(volume, side=SIDE, grid_mm=GRID_MM)
    card = CaseCard(
        name=folder.name,
        source="real",
        patient=folder.name,
        spacing_mm=float(np.median(seen.z[:, 1])) * 10,
        known_masks=tuple(str(name) for name in MASKS),
        labels={str(kind): 0 for kind in StrokeType},
    )
    return Case(card, np.round(seen.hu).astype(np.int16), np.zeros(seen.hu.shape, np.uint16))


def as_phantom(case: Case, seed: int) -> Phantom:
    """The case in the form that the DICOM writer takes."""
    masks: dict[StrokeType, BoolArray] = {
        kind: (case.masks >> number & 1).astype(np.bool_)
        for number, kind in enumerate(MASKS)
        if kind is not StrokeType.ANY_ICH and (case.masks >> number & 1).any()
    }
    spacing = (case.card.spacing_mm, GRID_MM, GRID_MM)
    labels, slice_labels = label(masks, spacing, len(case.hu), shifted=False)
    return Phantom(case.hu, masks, labels, slice_labels, spacing, 0.0, "soft", seed, AGE)


def implant(case: Case, out: Path, *, count: int, seed: int, side: int) -> Path:
    """Write `count` studies with lesions put into the case; return the manifest.

    Raises:
        ValueError: no slice of the head has a closed skull.
    """
    ground = survey(case, grid_mm=GRID_MM)
    if ground is None:
        raise ValueError(f"{case.card.name}: no slice with a closed skull to put a lesion into")
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.jsonl"
    with manifest.open("w", encoding="utf-8") as rows:
        for number in range(count):
            made = insert_case(case, ground, seed=seed * 1000 + number, grid_mm=GRID_MM)
            if made is not None:
                row = write_implanted(made, out, number, seed * 1000 + number, side)
                rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    return manifest


def write_implanted(case: Case, out: Path, number: int, seed: int, side: int) -> dict[str, object]:
    """Write one study; return its row of the manifest."""
    phantom = as_phantom(case, seed)
    found = [str(kind) for kind in phantom.masks if kind is not StrokeType.ANY_ICH]
    name = f"{number + 1:04d}-{'-'.join(found)}"
    dialect, patient = DIALECTS[number % len(DIALECTS)], draw_patient(seed, AGE)
    files = write_series(phantom, out / name, dialect=dialect, patient=patient, side=side)
    outcome, reasons = expected(phantom)
    return {
        "case": name,
        "seed": seed,
        "source": "inserted",
        "patient": case.card.patient,
        "dialect": dialect.name,
        "lesions": found,
        "labels": {kind.value: phantom.labels[kind] for kind in StrokeType},
        "expected": {"outcome": outcome, "reasons": reasons},
        "lesion_ml": lesion_ml(phantom),
        "spacing_mm": case.card.spacing_mm,
        "files": [str(path.relative_to(out)) for path in files],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.implant", description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of one head CT without any lesion")
    parser.add_argument("out", type=Path, help="folder to write; one folder a study below it")
    parser.add_argument("--n", type=int, default=20, help="number of studies")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side", type=int, default=512, help="rows and columns of the images")
    options = parser.parse_args(arguments)
    try:
        case = read_negative(options.study)
        print(implant(case, options.out, count=options.n, seed=options.seed, side=options.side))
    except (UnreadableStudy, ValueError) as refused:
        print(f"not used: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
