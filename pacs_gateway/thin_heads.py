"""A series of thin slices before it leaves care: its slices in order, and what of each becomes air."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from pacs_gateway.defacing import AIR_HU, Front, Mask, NoFace, faceless, front_of
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.pixel_privacy import THIN_MM
from pacs_gateway.stacks import stacks_of

STRAIGHT = 0.9
"""Cosine from which on rows run across the patient and columns from front to back."""


def is_thin(headers: Sequence[InstanceHeader]) -> bool:
    """Whether slices are so close that a face could be rendered; unknown spacing counts as close."""
    spacings = [stack.spacing_mm for stack in stacks_of(headers)]
    known = [each for each in spacings if each is not None]
    if not known:
        known = [header.slice_thickness or 0.0 for header in headers]
    return min(known) < THIN_MM


def faces_of(members: Sequence[tuple[Path, InstanceHeader]]) -> dict[Path, Mask]:
    """The pixels of each file that become air, (rows, columns) as stored.

    Raises:
        NoFace: not one stack of axial slices of a head.
    """
    stacks = stacks_of(header for _, header in members)
    if len(stacks) != 1 or stacks[0].spacing_mm is None:
        raise NoFace(f"{len(stacks)} stacks of slices, one is needed")
    upwards = sorted(members, key=lambda member: _height(member[1]))
    flips = [_anterior_first(header) for _, header in members]
    if len(set(flips)) != 1:
        raise NoFace("slices lie in different directions")
    fronts = [_front(path, flip) for (path, _), flip in zip(upwards, flips, strict=True)]
    masks = faceless(fronts, [_height(header) for _, header in upwards])
    return {
        path: mask if flip else mask[::-1]
        for (path, _), mask, flip in zip(upwards, masks, flips, strict=True)
    }


def _height(header: InstanceHeader) -> float:
    if header.position is None:
        raise NoFace("a slice without ImagePositionPatient")
    return header.position[2]


def _anterior_first(header: InstanceHeader) -> bool:
    """Whether row 0 is the most anterior."""
    across, down = (header.orientation or (0.0,) * 6)[0], (header.orientation or (0.0,) * 6)[4]
    if abs(across) < STRAIGHT or abs(down) < STRAIGHT:
        raise NoFace("slices are not axial")
    return down > 0


def _front(path: Path, anterior_first: bool) -> Front:
    try:
        ds = dcmread(path)
        hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        row_mm, column_mm = map(float, ds.PixelSpacing)
    except Exception as error:  # pydicom and its decoders let any error out that odd bytes provoke
        raise NoFace(f"a slice cannot be read: {type(error).__name__}") from error
    return front_of(hu if anterior_first else hu[::-1], row_mm, column_mm)


def without_face(ds: Dataset, face: Mask) -> bytes:
    """Native little endian pixels of an image with air where the face was."""
    pixels: NDArray[np.integer] = ds.pixel_array.copy()
    air = round((AIR_HU - float(ds.RescaleIntercept)) / float(ds.RescaleSlope))
    lowest = -(1 << int(ds.BitsStored) - 1) if ds.PixelRepresentation else 0
    pixels[face] = max(air, lowest)
    return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
