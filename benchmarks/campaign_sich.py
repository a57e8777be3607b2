"""The public PHE-SICH-CT-IDS slices as a frozen data set with the publishers' boxes, and the loop on it.

    python -m benchmarks.campaign_sich SICH FOLDER [--json] [--patients N] [--quick]

The set has slices of 8 bits and no header: nobody knows age, deficit, hours or report of these patients, so
the criteria of the region's study cannot be answered and the cases do not go through the hub. What is known
makes a data set all the same: every patient bleeds, and a box says in which slices and where. Beside every
head lies the same one without its bleed (`training.sich.clean_case`), which is marked as simulated. Pixel
size is a guess from the skull. Free for non-commercial use only (arXiv 2308.10521); nothing of it is kept
in the project.
"""

import argparse
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from benchmarks import campaign_models as models
from benchmarks.campaign_bars import rows
from benchmarks.campaign_journal import Journal
from benchmarks.table import at_least, report
from labeling.manifest import Row, freeze, read_data_set, sha256_of
from labeling.splits import Part, Placed, Shares, split_cases
from model.phantom_object import make_uid
from model.stroke import StrokeType
from training.cases import FloatArray
from training.sich import SichStudy, clean_case, read_patients, read_study

NAME = "sich"
LICENCE = "Free for non-commercial use only: PHE-SICH-CT-IDS, arXiv 2308.10521; boxes by its publishers"
SIDE, GRID_MM = 192, 1.2
AIR_BELOW, AIR = -200, -1000
"""HU; `read_study` puts -400 where the 8 bits end."""
BLEEDS = (StrokeType.ANY_ICH, StrokeType.IPH)
NOTE = "Public research CT, from 8 bits in the window -20 to 100 HU; pixel size guessed from the skull"


def write_head(study: SichStudy, folder: Path) -> dict[int, str]:
    """The slices as DICOM, bottom to top; SOP instance UID by slice.

    What lies at the lower end of the 8 bits is written as air, or no gate would take it for a CT.
    """
    folder.mkdir(parents=True)
    uids = {}
    for number, image in enumerate(study.hu):
        uids[number] = str(make_uid(folder.name, number))
        file = _slice(study, folder.name, number, np.where(image < AIR_BELOW, AIR, image))
        file.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return uids


def make_rows(sich: Path, patients: Sequence[str], scratch: Path) -> Iterator[Row]:
    """Two rows a patient: the head with its bleed, and, where no blood is left, the same one without."""
    for patient in patients:
        study = read_study(sich, patient, side=SIDE, grid_mm=GRID_MM)
        uids = write_head(study, scratch / f"sich-{patient}")
        spans = [(uids[first], uids[last]) for first, last in _stretches(sorted(study.boxes))]
        seen = dict.fromkeys(BLEEDS, spans)
        yield _row(f"sich-{patient}", patient, scratch, dict.fromkeys(BLEEDS, 1), seen)
        clean = clean_case(study)
        if clean is not None:
            hu = clean.hu.astype(np.float32)
            healthy = replace(study, hu=hu, haematoma=np.zeros_like(study.haematoma), boxes={})
            write_head(healthy, scratch / f"clean-{patient}")
            yield _row(f"clean-{patient}", patient, scratch, dict.fromkeys(BLEEDS, 0), {})


def freeze_set(sich: Path, patients: Sequence[str], folder: Path) -> dict[str, Any]:
    """Freeze the set, parted by patient as any data set of the hub is."""
    target = folder / "sets" / f"{NAME}-v1"
    scratch = folder / "scratch"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        rows = list(make_rows(sich, patients, scratch))
        placed = [Placed(row.study_key, row.patient_key, "", "") for row in rows]
        parts = split_cases(placed, Shares())
        rows = [replace(row, split=parts[row.study_key]) for row in rows]
        files = {name: scratch / name for row in rows for name in row.files}
        about = {"name": NAME, "version": 1, "licence": LICENCE, "note": NOTE}
        freeze(target, rows, about, files, sheet=f"# {NAME} v1\n\n{NOTE}.\n\n{LICENCE}.\n", picture="<svg/>")
    frozen = read_data_set(target)
    return {
        "patients": len({row.patient_key for row in frozen.rows}),
        **Counter(f"{row.source} {row.split.value}" for row in frozen.rows),
    }


def evaluate(folder: Path, target: Path, name: str) -> dict[str, Any]:
    """What a package says of the held-out heads, real and simulated told apart.

    No area under the curve: every head without blood is one of the real ones with the blood painted out, so
    an area would say how well painting is seen, and nothing of a healthy person.
    """
    models.evaluate(folder, target, name, NAME)
    report = json.loads((folder / f"evaluation-{name}" / "report.json").read_text())
    (blood,) = [row["three_way"] for row in report["figures"] if row["stroke_type"] == StrokeType.ANY_ICH]
    parts = {"real, with blood": blood["positive"], "simulated, blood painted out": blood["negative"]}
    return {what: {"n": sum(counts.values()), **counts} for what, counts in parts.items()}


def stages(sich: Path, patients: Sequence[str], folder: Path, *, quick: bool) -> dict[str, Any]:
    """What is done, in order."""
    target = folder / "sets" / f"{NAME}-v1"
    return {
        "freeze": lambda: freeze_set(sich, patients, folder),
        "first model": lambda: models.train_first(folder, quick=quick),
        "import": lambda: models.import_set(folder, target),
        "train": lambda: models.train_on_set(folder, quick=quick),
        "evaluate": lambda: evaluate(folder, target, models.TRAINED),
        "evaluate first": lambda: evaluate(folder, target, models.FIRST),
    }


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sich", type=Path, help="folder with index.csv")
    parser.add_argument("folder", type=Path, help="kept, and gone on with; outside the project")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--patients", type=int, help="the first so many; all when left out")
    parser.add_argument("--quick", action="store_true", help="fewer steps of training")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(options.folder / "journal.jsonl")
    patients = read_patients(options.sich)[: options.patients]
    todo = stages(options.sich, patients, options.folder, quick=options.quick)
    for name, stage in todo.items():
        if journal.figures(name) is None:
            journal.note(name, "begin")
            figures = stage()
            journal.note(name, "end", figures=figures, load=round(os.getloadavg()[0], 1))
    said = journal.figures("import") or {}
    taken, skipped = int(said["said"].split()[0]), int(said["said"].split()[3])
    bars = [
        at_least("heads that the hub's own reader takes", taken / (taken + skipped), 0.9),
    ]
    report("campaign_sich", rows(journal, list(todo)), bars, as_json=options.json)


def _row(
    name: str,
    patient: str,
    scratch: Path,
    labels: dict[StrokeType, int | None],
    ranges: dict[StrokeType, list[tuple[str, str]]],
) -> Row:
    files = {f"{name}/{path.name}": sha256_of(path) for path in sorted((scratch / name).iterdir())}
    source = "real" if name.startswith(NAME) else "simulated"
    return Row(name, f"sich-{patient}", "", Part.TRAIN, labels, source, slice_ranges=ranges, files=files)


def _stretches(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of every run of slices that follow each other."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _slice(study: SichStudy, name: str, number: int, image: FloatArray) -> Dataset:
    ds, half = Dataset(), SIDE * GRID_MM / 2 - GRID_MM / 2
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = make_uid(name, number)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = make_uid(name), make_uid(name, "series")
    ds.FrameOfReferenceUID = make_uid(name, "frame")
    ds.Modality, ds.ImageType, ds.ImageComments = "CT", ["DERIVED", "PRIMARY", "AXIAL"], NOTE
    ds.PatientName, ds.PatientID = "", name
    ds.StudyDescription, ds.SeriesDescription = "CT BRAIN", "Brain"
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.ImagePositionPatient = [-half, -half, number * study.spacing_mm]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [GRID_MM, GRID_MM], study.spacing_mm
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.RescaleIntercept, ds.RescaleSlope = 0, 1
    ds.PixelData = np.round(image).astype("<i2").tobytes()
    return ds


if __name__ == "__main__":
    main()
