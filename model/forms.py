"""The forms in which a head CT comes besides the hub's own DICOM: NIfTI, and folders of 8-bit pictures.

All end in the same Volume, so that the network sees one grid in millimetres whatever the form.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from model import eightbit
from model.eightbit import Pictures, Window
from model.nifti import as_grey, is_eight_bit, read_nifti, to_hounsfield
from model.quality import check_pixels
from model.stroke import Note, Refusal
from model.volume import UnreadableStudy, Volume, load_head_ct

Floats = npt.NDArray[np.float64]
Form = Literal["dicom", "nifti", "pictures"]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
NIFTI_SUFFIXES = (".nii", ".nii.gz")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of studies from elsewhere; None is recognised."""

    window: Window | None = None
    """Lowest and highest HU of 8-bit pictures."""
    pixel_mm: float | None = None
    slice_mm: float | None = None


@dataclass(frozen=True, slots=True)
class FormedStudy:
    """A study as a volume, whatever it came as."""

    volume: Volume
    form: Form
    refusals: tuple[Refusal, ...] = ()
    """Why the hub would not have assessed it; a reader of files does so and says it."""
    window: Window | None = None
    """Of pictures."""


def form_of(path: Path) -> Form:
    """What a path holds, by its names."""
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return "nifti"
    if path.is_dir():
        names = [file for file in path.iterdir() if file.is_file()]
        if names and sum(map(_is_picture, names)) > len(names) / 2:
            return "pictures"
    return "dicom"


def load_study(path: Path, wanted: Wanted | None = None) -> FormedStudy:
    """Read a study in any form.

    Args:
        path: A NIfTI file, a folder of pictures, or a folder (or file) of DICOM.
        wanted: What is known of it.

    Raises:
        UnreadableStudy: DICOM that is refused.
        ValueError: the file cannot be read, no picture shows a head; the text says which.
    """
    known = wanted or Wanted()
    form = form_of(path)
    if form == "dicom":
        files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
        return FormedStudy(load_head_ct(files), form)
    if form == "nifti":
        image = read_nifti(path)
        names = [f"{path.name}#{number}" for number in range(len(image.values))]
        if not is_eight_bit(image.values):
            hu, notes = to_hounsfield(image.values)
            return _judged(as_volume(hu, image.affine, names, notes=[*image.notes, *notes]), form)
        grey, affine = as_grey(image.values), image.affine
        return _from_pictures(grey, names, known, form, affine, image.notes)
    grey_or_numbers, names, notes = read_pictures(path)
    if grey_or_numbers.dtype != np.uint8:
        hu, repairs = to_hounsfield(grey_or_numbers)
        affine, assumed = _upright_affine(known.pixel_mm or 0.5, known.slice_mm or 5.0), [*notes, *repairs]
        return _judged(as_volume(hu, affine, names, notes=assumed), form)
    return _from_pictures(grey_or_numbers, names, known, form, None, notes)


def read_pictures(folder: Path) -> tuple[npt.NDArray[np.generic], list[str], list[Note]]:
    """Pictures of a folder in the order of the numbers in their names: greys, or wider numbers as stored.

    Raises:
        ValueError: a picture cannot be decoded.
    """
    files = sorted((file for file in folder.iterdir() if _is_picture(file)), key=_natural)
    images = []
    for file in files:
        try:
            with Image.open(file) as picture:
                wide = picture.mode.startswith(("I", "F"))
                images.append(np.asarray(picture if wide else picture.convert("L")))
        except (OSError, UnidentifiedImageError) as error:
            raise ValueError(f"{file.name} is not a readable picture") from error
    shape = eightbit.majority_shape([image.shape for image in images])
    kept = [index for index, image in enumerate(images) if image.shape == shape]
    notes = []
    if len(kept) < len(images):
        text = f"{len(images) - len(kept)} pictures are not of {shape[0]} x {shape[1]} and were left out."
        notes.append(Note("other_sizes", text))
    return np.stack([images[index] for index in kept]), [files[index].name for index in kept], notes


def brain_greys(path: Path) -> Floats:
    """Greys of the brain of a folder of pictures, from which its window is recognised; may be empty."""
    grey, _, _ = read_pictures(path)
    if grey.dtype != np.uint8:
        return np.empty(0)
    pictures = eightbit.look_at(np.asarray(grey, np.uint8))
    return eightbit.brain_of(pictures, eightbit.estimate_pixel_mm(pictures))


def as_volume(
    hu: npt.NDArray[np.int16], affine: Floats, names: Sequence[str], *, notes: Sequence[Note] = ()
) -> Volume:
    """A volume of HU (slices, rows, columns) and their affine to LPS mm; slice 0 becomes the lowest."""
    rows, columns = affine[:3, 1], affine[:3, 2]
    normal = np.cross(columns, rows)
    normal = normal / np.linalg.norm(normal) * (1.0 if normal[2] >= 0 else -1.0)
    if float(affine[:3, 0] @ normal) < 0:
        hu, names, affine = hu[::-1], names[::-1], affine.copy()
        affine[:3, 3] += affine[:3, 0] * (len(hu) - 1)
        affine[:3, 0] *= -1
    spacing = float(affine[:3, 0] @ normal)
    way = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    sine = float(way @ (rows / np.linalg.norm(rows)))
    return Volume(
        hu=np.ascontiguousarray(hu),
        spacing_mm=(spacing, float(np.linalg.norm(rows)), float(np.linalg.norm(columns))),
        affine=affine,
        sop_instance_uids=tuple(names),
        positions_mm=np.asarray(float(affine[:3, 3] @ normal) + spacing * np.arange(len(hu)), np.float64),
        tilt_deg=float(np.degrees(np.arcsin(np.clip(-sine, -1, 1)))),
        series_instance_uid="",
        study_instance_uid="",
        age_years=None,
        notes=tuple(notes),
    )


def _from_pictures(
    grey: npt.NDArray[np.generic],
    names: Sequence[str],
    known: Wanted,
    form: Form,
    affine: Floats | None,
    notes: Sequence[Note],
) -> FormedStudy:
    pictures = eightbit.look_at(grey.astype(np.uint8))
    shown = np.flatnonzero(pictures.head.any(axis=(1, 2)))
    inside = slice(shown[0], shown[-1] + 1)
    pictures = Pictures(pictures.grey[inside], pictures.head[inside])
    names, said = names[inside], list(notes)
    if affine is not None:
        pixel = float(np.linalg.norm(affine[:3, 1]))
        affine = affine.copy()
        affine[:3, 3] += affine[:3, 0] * inside.start
    else:
        pixel = known.pixel_mm or eightbit.estimate_pixel_mm(pictures)
        spacing = known.slice_mm or eightbit.estimate_spacing_mm(len(pictures.grey))
        if known.pixel_mm is None:
            said.append(Note("pixel_size_estimated", f"Pixels of {pixel:.3f} mm, from the size of the head."))
        if known.slice_mm is None:
            said.append(Note("spacing_estimated", f"Slices {spacing:.1f} mm apart, from their number."))
        if eightbit.top_first(pictures):
            pictures = Pictures(pictures.grey[::-1], pictures.head[::-1])
            names = names[::-1]
            said.append(Note("order_reversed", "The first picture shows the top of the head."))
        affine = _upright_affine(pixel, spacing)
    window = known.window or eightbit.recognise_window([eightbit.brain_of(pictures, pixel)])
    hu = np.round(eightbit.to_hu(pictures, window, pixel)).astype(np.int16)
    said.append(Note("eight_bit", f"8-bit pictures, taken for the window [{window[0]:g}, {window[1]:g}] HU."))
    return _judged(as_volume(hu, affine, names, notes=said), form, window)


def _upright_affine(pixel_mm: float, spacing_mm: float) -> Floats:
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = spacing_mm, pixel_mm, pixel_mm, 1.0
    return affine


def _judged(volume: Volume, form: Form, window: Window | None = None) -> FormedStudy:
    """With the notes and refusals that the pixels give."""
    upright = volume.hu[:, :: -1 if volume.affine[1, 1] < 0 else 1, :: -1 if volume.affine[0, 2] < 0 else 1]
    report = check_pixels(upright, volume.spacing_mm, volume.positions_mm)
    notes = [*volume.notes, *report.notes, *(Note(str(code), text) for code, text in report.refusals)]
    refusals = tuple(dict.fromkeys(code for code, _ in report.refusals))
    return FormedStudy(replace(volume, notes=tuple(notes)), form, refusals, window)


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")


def _natural(file: Path) -> list[tuple[int, str]]:
    """Sort key by which slice 10 comes after slice 9."""
    return [(int(word) if word.isdigit() else -1, word) for word in re.split(r"(\d+)", file.name)]


__all__ = ["FormedStudy", "UnreadableStudy", "Wanted", "as_volume", "form_of", "load_study"]
