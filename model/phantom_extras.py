"""What lies beside the head series of a simulated study: localizer, dose report, bone series, chest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)
from scipy import ndimage

from model.phantom import Phantom
from model.phantom_grid import band_noise, ramp, stream
from model.phantom_object import Scan, image, make_uid, part10, study_header


def bone_like(hu: NDArray[np.int16], seed: int) -> NDArray[np.int16]:
    """Return slices as a sharp kernel would show them: edges overshoot, noise is strong."""
    rng = stream(seed, "bone series")
    out = np.empty_like(hu)
    for index, plane in enumerate(hu):
        sharp = plane.astype(np.float32)
        sharp += 1.1 * (sharp - ndimage.gaussian_filter(sharp, 1.4, truncate=2.5))
        sharp += 14 * rng.standard_normal(plane.shape, dtype=np.float32)
        out[index] = np.clip(sharp, -1024, 3071)
    return out


CHEST_FOV_MM = 380.0


def chest(phantom: Phantom) -> Phantom:
    """Return a chest in place of the head: trunk, lungs, heart, spine, ribs."""
    slices, side, _ = phantom.hu.shape
    rng = stream(phantom.seed, "chest")
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    y, x = axis[:, None], axis[None, :]
    out = np.empty_like(phantom.hu)
    vessels = band_noise(rng, phantom.hu.shape, (5.0, 1.5, 1.5), 6.0)
    for index in range(slices):
        level = index / slices
        trunk = 1 - np.sqrt((x / 0.92) ** 2 + (y / 0.62) ** 2)
        plane = np.where(trunk > 0, np.where(trunk > 0.08, 45.0, -95.0), -1000.0)
        for half in (-1, 1):
            lung = 1 - np.sqrt(((x - 0.42 * half) / 0.34) ** 2 + (y / (0.44 - 0.15 * level)) ** 2)
            plane = np.where(lung > 0, -860 + 500 * ramp(vessels[index] - 1.6, 0.6), plane)
        heart = 1 - np.sqrt(((x - 0.1) / 0.26) ** 2 + ((y + 0.12) / 0.24) ** 2)
        plane = np.where((heart > 0) & (level < 0.6), 42.0, plane)
        spine = np.hypot(x, y - 0.4) < 0.11
        ribs = (np.abs(trunk - 0.14) < 0.025) & (np.sin(9 * np.arctan2(y, x) + index) > 0.3)
        plane = np.where(spine | ribs, 480.0, plane)
        noisy = plane + 12 * rng.standard_normal(plane.shape, dtype=np.float32)
        out[index] = np.clip(noisy, -1024, 3071)
    pixel = CHEST_FOV_MM / side
    return replace(phantom, hu=out, spacing_mm=(phantom.spacing_mm[0], pixel, pixel))


def localizer(scan: Scan) -> Dataset:
    """Return the lateral projection that every scan begins with."""
    dense = np.clip(scan.phantom.hu.astype(np.float32) + 1000, 0, 2200).sum(axis=2)[::-1]
    spacing = scan.phantom.spacing_mm
    tall = ndimage.zoom(dense, (spacing[0] / spacing[1], 1), order=1)
    picture = (tall / (tall.max() + 1) * 1200 - 500).astype(np.int16)
    ds = image(scan, picture, "localizer", 1)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    ds.SeriesNumber = 1
    ds.SeriesDescription = scan.dialect.localizer_description
    half = spacing[1] * (picture.shape[1] - 1) / 2
    top = 40.0 + spacing[0] * len(scan.phantom.hu)
    ds.ImagePositionPatient = [0.0, round(-half, 4), round(top, 4)]
    ds.ImageOrientationPatient = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]
    ds.PixelSpacing = [round(spacing[1], 6)] * 2
    return ds


def dose_report(scan: Scan) -> Dataset:
    """Return a bare radiation dose report, an object of a study that holds no pixels."""
    ds = study_header(scan)
    ds.SOPClassUID = XRayRadiationDoseSRStorage
    ds.SOPInstanceUID = make_uid(scan.study_uid, "dose", 1)
    ds.SeriesInstanceUID = make_uid(scan.study_uid, "dose")
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "SR", 997, 1
    ds.SeriesDescription = "Dose Report"
    ds.CompletionFlag, ds.VerificationFlag, ds.ValueType = "COMPLETE", "UNVERIFIED", "CONTAINER"
    ds.ContinuityOfContent = "SEPARATE"
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator = "113701", "DCM"
    title.CodeMeaning = "X-Ray Radiation Dose Report"
    ds.ConceptNameCodeSequence = DicomSequence([title])
    return ds


def screen_capture(scan: Scan) -> Dataset:
    """Return the picture of a dose table that a console sends along."""
    ds = study_header(scan)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = make_uid(scan.study_uid, "capture", 1)
    ds.SeriesInstanceUID = make_uid(scan.study_uid, "capture")
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 999, 1
    ds.SeriesDescription = "Patient Protocol"
    ds.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    ds.ConversionType, ds.BurnedInAnnotation = "WSD", "NO"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = 256, 256
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    page = np.zeros((256, 256), np.uint8)
    page[24:232:16, 16:200] = 200
    ds.PixelData = page.tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def write_extras(scan: Scan, folder: Path) -> list[Path]:
    """Write the objects that accompany the head series."""
    objects = [("LOC0001", localizer(scan), scan.dialect.transfer_syntax)]
    objects += [("SR0001", dose_report(scan), ExplicitVRLittleEndian)]
    objects += [("SC0001", screen_capture(scan), ExplicitVRLittleEndian)]
    paths = []
    for name, ds, transfer_syntax in objects:
        paths.append(folder / f"{name}.dcm")
        paths[-1].write_bytes(part10(ds, scan.stored_name(), transfer_syntax))
    return paths
