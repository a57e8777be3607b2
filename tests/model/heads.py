"""A small head for tests: skull, brain and options, written as Part 10 files."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.1501"
INNER_MM = (66.0, 84.0, 76.0)
"""Half axes of the brain: across, down, along."""
SKULL_MM = 7.0
SCALP_MM = 6.0

Coordinates = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def head_hu(x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
    """HU at points in mm from the middle of the brain: x to the left, y to the back, z to the top."""
    r = [
        np.sqrt(sum((p / (half + grow)) ** 2 for p, half in zip((x, y, z), INNER_MM, strict=True)))
        for grow in (0, SKULL_MM, SKULL_MM + SCALP_MM)
    ]
    hu = np.where(r[2] < 1, 40.0, -1000.0)
    hu = np.where(r[1] < 1, 1100.0, hu)
    hu = np.where(r[0] < 1, 32.0, hu)
    # A ventricle off the middle tells left from right and front from back.
    return np.where(((x - 18) / 8) ** 2 + ((y - 20) / 16) ** 2 + (z / 25) ** 2 < 1, 8.0, hu)


@dataclass
class Scan:
    """How the head is scanned; `change` and `edit` plant a fault."""

    slices: int = 30
    spacing_mm: float = 5.0
    side: int = 128
    fov_mm: float = 240.0
    tilt_deg: float = 0.0
    lowest_mm: float = -62.0
    centre_mm: tuple[float, float] = (0.0, 0.0)
    series: int = 1
    noise: float = 3.0
    tissue: Callable[..., NDArray[np.float64]] = head_hu
    orientation: tuple[float, ...] | None = None
    tags: dict[str, Any] = field(default_factory=dict)

    @property
    def pixel_mm(self) -> float:
        return self.fov_mm / self.side

    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors along a row and along a column, LPS."""
        if self.orientation is not None:
            return np.array(self.orientation[:3]), np.array(self.orientation[3:])
        tilt = np.radians(self.tilt_deg)
        return np.array([1.0, 0, 0]), np.array([0, np.cos(tilt), -np.sin(tilt)])

    def position(self, index: int) -> NDArray[np.float64]:
        """First pixel of a slice: the table moves along z, the gantry keeps its tilt."""
        across, down = self.axes()
        rise = self.spacing_mm / np.cos(np.radians(self.tilt_deg))
        middle = np.array([*self.centre_mm, self.lowest_mm + index * rise])
        return middle - (across + down) * self.pixel_mm * (self.side - 1) / 2

    def hu(self, index: int) -> NDArray[np.float64]:
        across, down = self.axes()
        row, column = np.meshgrid(np.arange(self.side), np.arange(self.side), indexing="ij")
        points = (
            self.position(index)[:, None, None]
            + across[:, None, None] * column * self.pixel_mm
            + down[:, None, None] * row * self.pixel_mm
        )
        noise = np.random.default_rng(index).normal(0, self.noise, (self.side, self.side))
        return np.asarray(self.tissue(*points) + noise)


def uid(*parts: int) -> str:
    return ".".join([ROOT, *map(str, parts)])


def dataset(scan: Scan, index: int) -> Dataset:
    """One slice as a CT image, 12 bits in 16, signed, intercept -1024."""
    across, down = scan.axes()
    ds = Dataset()
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = uid(scan.series, index + 1)
    ds.StudyInstanceUID = uid(0)
    ds.SeriesInstanceUID = uid(scan.series)
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate = "20260102"
    ds.AcquisitionDate, ds.AcquisitionTime = "20260102", "101500"
    ds.PatientAge = "064Y"
    ds.SeriesDescription = "HEAD 5MM"
    ds.ConvolutionKernel = "H31s"
    ds.SliceThickness = f"{scan.spacing_mm:.3f}"
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = [f"{value:.6f}" for value in scan.position(index)]
    ds.ImageOrientationPatient = [f"{value:.8f}" for value in (*across, *down)]
    ds.PixelSpacing = [f"{scan.pixel_mm:.6f}"] * 2
    ds.Rows = ds.Columns = scan.side
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = stored(scan.hu(index)).tobytes()
    for keyword, value in scan.tags.items():
        setattr(ds, keyword, value)
    return ds


def stored(hu: NDArray[np.float64], intercept: int = -1024) -> NDArray[np.int16]:
    return (np.clip(np.rint(hu), -1024, 3071) - intercept).astype("<i2")


def write(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=True)
    return path


def write_scan(
    folder: Path,
    scan: Scan | None = None,
    *,
    keep: Callable[[int], bool] = lambda index: True,
    edit: Callable[[Dataset, int], None] = lambda ds, index: None,
) -> list[Path]:
    """Write the slices of a scan that `keep` lets through, each after `edit`."""
    scan = scan or Scan()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in filter(keep, range(scan.slices)):
        ds = dataset(scan, index)
        edit(ds, index)
        paths.append(write(ds, folder / f"{scan.series:02d}_{index:03d}.dcm"))
    return paths
