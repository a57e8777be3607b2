"""The layout of RSNA-2019: stage_2_train.csv (ID_x_subtype, Label) and stage_2_train/ID_x.dcm.

Slices find their study by StudyInstanceUID and their patient by PatientID, as the files say. Slice labels
become stretches of slices, and a study has what any of its slices has. Non-commercial use (RSNA).
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from model.stroke import StrokeType
from training.importers.frozen import Found
from training.importers.studies import BadLabels, KnownOf

SUBTYPES: dict[str, StrokeType] = {
    "any": StrokeType.ANY_ICH,
    "intraparenchymal": StrokeType.IPH,
    "intraventricular": StrokeType.IVH,
    "subarachnoid": StrokeType.SAH,
    "subdural": StrokeType.SDH,
    "epidural": StrokeType.EDH,
}


@dataclass(frozen=True, slots=True)
class _Slice:
    path: Path
    uid: str
    height: float
    image: str


def rsna_studies(folder: Path) -> Iterator[Found]:
    """Files and knowledge of every study of which labelled slices are there.

    Raises:
        FileNotFoundError: there is no stage_2_train.csv.
        BadLabels: a row of it cannot be read.
    """
    found = _labels(folder / "stage_2_train.csv")
    studies: dict[str, list[_Slice]] = defaultdict(list)
    patients: dict[str, str] = {}
    for path in sorted((folder / "stage_2_train").glob("*.dcm")):
        if path.stem not in found:
            continue
        tags = ["StudyInstanceUID", "PatientID", "SOPInstanceUID", "ImagePositionPatient"]
        header = dcmread(path, stop_before_pixels=True, specific_tags=tags)
        study = str(header.StudyInstanceUID)
        height = float(header.ImagePositionPatient[2])
        studies[study].append(_Slice(path, str(header.SOPInstanceUID), height, path.stem))
        patients[study] = str(header.PatientID)
    for study, slices in studies.items():
        slices.sort(key=lambda one: one.height)
        ranges = {kind: _stretches(slices, found, kind) for kind in SUBTYPES.values()}
        known = KnownOf(
            name=f"rsna-{study.replace('.', '_')}",
            patient=f"rsna-{patients[study]}",
            labels={kind: int(bool(stretches)) for kind, stretches in ranges.items()},
            slice_ranges={kind: stretches for kind, stretches in ranges.items() if stretches},
            hospital="rsna",
        )
        yield [one.path for one in slices], known


def _labels(path: Path) -> dict[str, dict[StrokeType, int]]:
    labels: dict[str, dict[StrokeType, int]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            image, _, subtype = row.get("ID", "").rpartition("_")
            if subtype not in SUBTYPES or row.get("Label") not in ("0", "1"):
                raise BadLabels(f"{path.name} line {number}: {row} is no slice, subtype and 0 or 1")
            labels[image][SUBTYPES[subtype]] = int(row["Label"])
    return labels


def _stretches(
    slices: list[_Slice], found: dict[str, dict[StrokeType, int]], kind: StrokeType
) -> list[tuple[str, str]]:
    """Runs of slices that show a kind."""
    runs: list[list[str]] = []
    before = False
    for one in slices:
        shows = found[one.image].get(kind) == 1
        if shows and before:
            runs[-1].append(one.uid)
        elif shows:
            runs.append([one.uid])
        before = shows
    return [(run[0], run[-1]) for run in runs]
