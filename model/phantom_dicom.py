"""Write a simulated head as Part 10 files the way a scanner of one maker would, faults included."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEG2000Lossless

from model.phantom import Phantom
from model.phantom_extras import bone_like, chest, write_extras
from model.phantom_faults import Fault
from model.phantom_grid import Array, stream
from model.phantom_object import Scan, axial, make_uid, part10
from model.phantom_vendors import DIALECTS, Dialect, SimulatedPatient, draw_patient

__all__ = ["DIALECTS", "Dialect", "SimulatedPatient", "draw_patient", "write_series"]


def stretch(hu: NDArray[np.int16], side: int, seed: int) -> NDArray[np.int16]:
    """Enlarge slices in-plane to (side, side) and give back the fine noise that this takes away."""
    slices, rows, columns = hu.shape
    if (rows, columns) == (side, side):
        return hu
    weights = [linear_weights(n, side) for n in (rows, columns)]
    rng = stream(seed, "stretch")
    out = np.empty((slices, side, side), np.int16)
    for index in range(slices):
        image = weights[0] @ hu[index].astype(np.float32) @ weights[1].T
        image += 1.6 * rng.standard_normal(image.shape, dtype=np.float32)
        out[index] = np.clip(np.rint(image), -1024, 3071)
    return out


def linear_weights(count: int, target: int) -> Array:
    """Return (target, count) weights of linear interpolation with pixel areas aligned."""
    place = np.clip((np.arange(target) + 0.5) * count / target - 0.5, 0, count - 1)
    distance = np.abs(place[:, None] - np.arange(count)[None, :])
    return np.asarray(np.clip(1 - distance, 0, None), np.float32)


def missing(count: int, seed: int) -> frozenset[int]:
    """Return the slices that never arrive: a gap inside the head."""
    first = int(stream(seed, "missing").integers(count // 3, max(count // 3 + 1, 2 * count // 3)))
    return frozenset(range(first, min(first + max(2, count // 10), count - 2)))


def cut_codestream(data: bytes, ds: Dataset) -> bytes:
    """Return the file with its compressed frame cut short, every length in it still right."""
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    return data.replace(ds.PixelData, encapsulate([frame[: max(64, len(frame) // 8) & ~1]]))


def write_series(
    phantom: Phantom,
    folder: Path,
    *,
    dialect: Dialect,
    patient: SimulatedPatient,
    study_uid: str | None = None,
    accession_number: str | None = None,
    side: int | None = None,
    bone: bool = False,
    extras: bool = False,
) -> list[Path]:
    """Write a study as Part 10 files.

    Args:
        phantom: The head; its faults tell what is to go wrong in the files.
        folder: Made if need be.
        dialect: One of `DIALECTS`.
        patient: Who is said to lie in the scanner.
        study_uid: Derived from the voxels, the dialect and the patient when None.
        accession_number: Derived when None.
        side: Rows and columns written; the phantom's own when None.
        bone: Whether a second series in a bone kernel lies beside the first.
        extras: Whether a localizer, a dose report and a screen capture lie beside it.

    Returns:
        The files in the order a scanner would send them.
    """
    faults = frozenset(phantom.faults)
    if Fault.TRUNCATED_PIXELS in faults:
        dialect = replace(dialect, transfer_syntax=JPEG2000Lossless)
    key = (phantom.seed, phantom.sha256, dialect.name, patient.patient_id, *sorted(faults))
    uid = UID(study_uid) if study_uid else make_uid(*key)
    accession = accession_number or f"A{make_uid(uid, 'accession')[-9:]}"
    shown = chest(phantom) if Fault.CHEST in faults else phantom
    scan = Scan(shown, dialect, patient, uid, accession, faults)
    folder.mkdir(parents=True, exist_ok=True)
    voxels = stretch(shown.hu, side or phantom.hu.shape[1], phantom.seed)
    paths = write_extras(scan, folder) if extras else []
    paths += write_axial(scan, folder, voxels, "soft")
    if bone:
        paths += write_axial(scan, folder, bone_like(voxels, phantom.seed), "bone")
    return paths


def write_axial(scan: Scan, folder: Path, voxels: NDArray[np.int16], series: str) -> list[Path]:
    """Write one axial series."""
    count = len(voxels)
    gone = missing(count, scan.phantom.seed) if Fault.MISSING_SLICES in scan.faults else frozenset()
    middle = range(count // 2, count // 2 + 3)
    paths: list[Path] = []
    for number in range(1, count + 1):
        index = count - number if scan.dialect.descending else number - 1
        if index in gone:
            continue
        ds = axial(scan, voxels[index], index, number, series)
        data = part10(ds, scan.stored_name(), scan.dialect.transfer_syntax)
        if Fault.TRUNCATED_PIXELS in scan.faults and index in middle:
            data = cut_codestream(data, ds)
        if Fault.TRUNCATED_FILE in scan.faults and index == middle[0]:
            data = data[: len(data) // 2]
        name = f"CT{number + (2000 if series == 'bone' else 0):04d}"
        paths.append(folder / f"{name}.dcm")
        paths[-1].write_bytes(data)
        if Fault.DUPLICATE_SLICES in scan.faults and index % 3 == 0:
            paths.append(folder / f"{name}_again.dcm")
            paths[-1].write_bytes(data)
    return paths
