"""The campaign's studies: simulated once per seed, a zip for every hospital, and beside it their truth."""

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from pydicom import dcmread

from benchmarks.campaign_truth import Contradiction, Plan, Truth
from labeling.answers import THAILAND
from model.phantom import Fault, simulate_head
from model.phantom_dicom import DIALECTS, SimulatedPatient, draw_patient, write_series
from model.stroke import StrokeType

SIDE = 64
SLICES = 14
SPACING_MM = 10.0


def write_hospital(plans: Sequence[Plan], firsts: Sequence[Plan], folder: Path) -> Path:
    """Simulate a hospital's cases into HCODE.zip; HCODE.jsonl tells the truth of each. Again changes nothing.

    Args:
        plans: The hospital's.
        firsts: For those that are twins, the cases whose patients they are.
        folder: Where.
    """
    target = folder / f"{plans[0].hcode}.zip"
    if target.exists():
        return target
    known = {each.number: each for each in firsts}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".made-") as made:
        truths = [_write_study(plan, _patient(plan, known), Path(made)) for plan in plans]
        part = Path(made) / "part.zip"
        with zipfile.ZipFile(part, "w") as archive:
            for path in sorted(Path(made).rglob("*.dcm")):
                archive.write(path, path.relative_to(made))
        lines = Path(made) / "truth.jsonl"
        lines.write_text("".join(json.dumps(asdict(each)) + "\n" for each in truths), encoding="utf-8")
        os.replace(lines, target.with_suffix(".jsonl"))
        os.replace(part, target)
    return target


def write_all(plans: Sequence[Plan], folder: Path, *, workers: int) -> list[Path]:
    """Every hospital's zip, in the order of the hospitals."""
    folder.mkdir(parents=True, exist_ok=True)
    by_number = {plan.number: plan for plan in plans}
    hospitals = sorted({plan.hcode for plan in plans})
    own = [[plan for plan in plans if plan.hcode == hcode] for hcode in hospitals]
    firsts = [[by_number[each.twin_of] for each in some if each.twin_of is not None] for some in own]
    write = partial(write_hospital, folder=folder)
    if workers < 2:
        return list(map(write, own, firsts))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(write, own, firsts))


def _patient(plan: Plan, known: dict[int, Plan]) -> SimulatedPatient:
    own = draw_patient(plan.seed, plan.age)
    if plan.twin_of is None:
        return own
    same = draw_patient(known[plan.twin_of].seed, plan.age)
    name = same.name if not plan.renamed else f"{own.name.partition('^')[0]}ใหม่^{same.name.partition('^')[2]}"
    return replace(
        same,
        name=name,
        patient_id=own.patient_id,
        study_date=same.study_date + timedelta(days=3),
    )


def _write_study(plan: Plan, patient: SimulatedPatient, folder: Path) -> Truth:
    phantom = simulate_head(
        plan.seed,
        lesions=plan.lesions,
        side=SIDE,
        slices=SLICES,
        spacing_mm=SPACING_MM,
        age=plan.age,
        faults=[Fault.SKULL_DEFECT] if plan.contradiction is Contradiction.SKULL_DEFECT else [],
    )
    dialect = DIALECTS[plan.number % len(DIALECTS)]
    paths = write_series(phantom, folder / f"{plan.number:05d}", dialect=dialect, patient=patient)
    headers = sorted(
        (dcmread(path, stop_before_pixels=True) for path in paths),
        key=lambda header: float(header.ImagePositionPatient[2]),
    )
    moment = datetime.strptime(
        f"{headers[0].AcquisitionDate}{headers[0].AcquisitionTime}"[:14], "%Y%m%d%H%M%S"
    )
    seen = {kind: shown.nonzero()[0] for kind, shown in phantom.slice_labels.items()}
    return Truth(
        plan.number,
        str(headers[0].StudyInstanceUID),
        tuple(str(header.SOPInstanceUID) for header in headers),
        moment.replace(tzinfo=THAILAND).isoformat(),
        {kind.value: phantom.labels[kind] for kind in StrokeType},
        {kind.value: (int(at[0]), int(at[-1])) for kind, at in seen.items() if len(at)},
    )
