"""Simulated CT slices for benchmarks: 512 x 512, 16 bit, one series a study, written fast."""

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

SIDE = 512
SPACING_MM = 5.0
UID_ROOT = "2.25.7700"


def write_slices(folder: Path, *, studies: int, slices: int, seed: int) -> list[Path]:
    """Write studies of evenly spaced slices; another seed gives other UIDs and pixels."""
    pixels = np.random.default_rng(seed).integers(-1000, 2000, (SIDE, SIDE), dtype=np.int16)
    files = []
    for study in range(studies):
        for number in range(slices):
            pixels[0, :2] = study, number
            file = folder / f"{study}-{number:04d}.dcm"
            file.write_bytes(_slice(f"{UID_ROOT}{seed}.{study}", number, pixels.tobytes()))
            files.append(file)
    return files


def _slice(root: str, number: int, pixels: bytes) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{root}.1.{number + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = root, f"{root}.1"
    ds.PatientName, ds.PatientID, ds.StudyDate, ds.Modality = "Simulated^Patient", "HN1", "20260101", "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber = 1, number + 1
    ds.ImagePositionPatient = [-120.0, -120.0, number * SPACING_MM]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.47, 0.47], SPACING_MM
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.PixelData = pixels
    buffer = DicomBytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
