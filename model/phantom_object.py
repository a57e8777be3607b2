"""One DICOM object of a simulated study: patient and maker in the header, geometry, pixels, bytes."""

import uuid
from dataclasses import dataclass
from datetime import date
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import compress
from pydicom.uid import (
    UID,
    CTImageStorage,
    JPEGLosslessSV1,
    MRImageStorage,
)

from model.phantom import Phantom
from model.phantom_faults import Fault
from model.phantom_jpeg import encode_lossless
from model.phantom_vendors import Dialect, SimulatedPatient

UID_SPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "simulated.imaging-hub.invalid")
"""Every simulated UID is 2.25.<integer of a version 5 UUID in this name space>."""

BUDDHIST_YEARS = 543


def make_uid(*parts: object) -> UID:
    """Derive a UID from words; the same words give the same UID."""
    return UID(f"2.25.{uuid.uuid5(UID_SPACE, '/'.join(map(str, parts))).int}")


@dataclass(frozen=True, slots=True)
class Scan:
    """What all objects of one written study share."""

    phantom: Phantom
    dialect: Dialect
    patient: SimulatedPatient
    study_uid: UID
    accession_number: str
    faults: frozenset[Fault]

    def date_text(self, day: date) -> str:
        """Return a DICOM date, in the Buddhist era where that fault is asked for."""
        era = BUDDHIST_YEARS if Fault.BUDDHIST_DATES in self.faults else 0
        return f"{day.year + era:04d}{day:%m%d}"

    def stored_name(self) -> bytes:
        """Return the bytes of the patient's name in the data set."""
        name = self.patient.name
        if Fault.NAME_CP874_AS_LATIN1 in self.faults or Fault.NAME_CP874_UNDECLARED in self.faults:
            return name.encode("cp874")
        if Fault.NAME_UTF8_AS_TIS620 in self.faults or "ISO_IR 192" in self.declared_charset():
            return name.encode("utf-8")
        if len(self.dialect.charset) > 1:
            return b"^".join(b"\x1b\x2d\x54" + part.encode("tis_620") for part in name.split("^"))
        return name.encode("tis_620")

    def declared_charset(self) -> tuple[str, ...]:
        """Return SpecificCharacterSet; empty where it is left out."""
        if Fault.NAME_CP874_UNDECLARED in self.faults:
            return ()
        if Fault.NAME_CP874_AS_LATIN1 in self.faults:
            return ("ISO_IR 100",)
        return ("ISO_IR 166",) if Fault.NAME_UTF8_AS_TIS620 in self.faults else self.dialect.charset


def study_header(scan: Scan) -> Dataset:
    """Return what every object of the study carries; the name stands as a place holder."""
    ds = Dataset()
    charset = scan.declared_charset()
    if charset:
        ds.SpecificCharacterSet = list(charset) if len(charset) > 1 else charset[0]
    moment = f"{6 + scan.phantom.seed % 14:02d}{scan.phantom.seed * 7 % 60:02d}12"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = scan.date_text(
        scan.patient.study_date
    )
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = moment
    ds.AccessionNumber = scan.accession_number
    ds.Manufacturer = scan.dialect.manufacturer
    ds.ManufacturerModelName = scan.dialect.model_name
    ds.InstitutionName = "SIMULATED HOSPITAL"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = scan.dialect.study_description
    ds.PatientName = place_holder(scan.stored_name())
    ds.PatientID = "" if Fault.EMPTY_PATIENT_ID in scan.faults else scan.patient.patient_id
    ds.PatientBirthDate = scan.date_text(scan.patient.birth_date)
    ds.PatientSex = scan.patient.sex
    ds.PatientAge = f"{scan.patient.age:03d}Y"
    ds.StudyInstanceUID = scan.study_uid
    ds.StudyID = str(1000 + scan.phantom.seed % 9000)
    ds.FrameOfReferenceUID = make_uid(scan.study_uid, "frame")
    ds.PositionReferenceIndicator = "OM"
    ds.PatientPosition = "HFS"
    ds.ImageComments = "Simulated image, no patient"
    return ds


def place_holder(raw: bytes) -> str:
    """Return ASCII of the same length, to be replaced in the finished bytes."""
    return "Q" * len(raw)


def part10(ds: Dataset, raw_name: bytes, transfer_syntax: UID) -> bytes:
    """Return the bytes of a Part 10 file with the name put in byte for byte."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    ds.file_meta = meta
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue().replace(place_holder(raw_name).encode(), raw_name, 1)


def geometry(phantom: Phantom, side: int, index: int) -> dict[str, list[float]]:
    """Return position, orientation and spacing of a slice; the table moves along z whatever the tilt."""
    tilt = np.deg2rad(phantom.tilt_deg)
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
    pixel = phantom.spacing_mm[1] * phantom.hu.shape[1] / side
    half = pixel * (side - 1) / 2
    table = 40.0 + index * phantom.spacing_mm[0] / cos
    return {
        "ImagePositionPatient": [round(v, 6) for v in (-half, -half * cos, half * sin + table)],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, round(cos, 8), round(-sin, 8)],
        "PixelSpacing": [round(pixel, 8)] * 2,
    }


def stored_pixels(scan: Scan, hu: NDArray[np.int16]) -> NDArray[np.integer]:
    """Return stored values of one slice: intercept taken off, padding outside the circle."""
    dialect = scan.dialect
    stored = hu.astype(np.int32) - dialect.intercept
    if dialect.padding is not None:
        row, column = (np.arange(n) - (n - 1) / 2 for n in hu.shape)
        stored[np.hypot(row[:, None], column[None, :]) > max(hu.shape) / 2] = dialect.padding
    return stored.astype("<i2" if dialect.signed else "<u2")


def image(scan: Scan, hu: NDArray[np.int16], series: str, number: int) -> Dataset:
    """Return one CT image without geometry."""
    dialect = scan.dialect
    ds = study_header(scan)
    mr = Fault.MR in scan.faults
    ds.SOPClassUID = MRImageStorage if mr else CTImageStorage
    ds.SOPInstanceUID = make_uid(scan.study_uid, series, number)
    ds.SeriesInstanceUID = make_uid(scan.study_uid, series)
    ds.Modality = "MR" if mr else "CT"
    ds.BodyPartExamined = "CHEST" if Fault.CHEST in scan.faults else "HEAD"
    ds.InstanceNumber = number
    ds.AcquisitionNumber = 1
    ds.ImageType = list(dialect.image_type)
    ds.ProtocolName = dialect.protocol_name
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = int(dialect.signed)
    ds.WindowCenter, ds.WindowWidth = "40", "80"
    if mr:
        ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = "SE", "SK", "2D"
    else:
        ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime = "120", "250", "1000"
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(dialect.intercept), "1", "HU"
        if dialect.padding is not None:
            ds.add_new(0x00280120, "SS" if dialect.signed else "US", dialect.padding)
    if Fault.CONTRAST in scan.faults:
        ds.ContrastBolusAgent = "IOHEXOL 350"
    set_pixels(ds, stored_pixels(scan, hu), dialect.transfer_syntax)
    return ds


def set_pixels(ds: Dataset, pixels: NDArray[np.integer], transfer_syntax: UID) -> None:
    """Put pixels into the data set in the form of the transfer syntax."""
    if transfer_syntax == JPEGLosslessSV1:
        ds.PixelData = encapsulate([encode_lossless(pixels)])
        ds["PixelData"].VR = "OB"
    elif transfer_syntax.is_compressed:
        compress(ds, transfer_syntax, pixels, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    else:
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OW"


def axial(scan: Scan, hu: NDArray[np.int16], index: int, number: int, series: str) -> Dataset:
    """Return one axial image with its geometry."""
    dialect, phantom = scan.dialect, scan.phantom
    ds = image(scan, hu, series, number)
    bone = series == "bone" or phantom.kernel == "bone"
    ds.SeriesNumber = 3 if series == "bone" else 2
    ds.SeriesDescription = dialect.bone_description if bone else dialect.series_description
    if Fault.CHEST in scan.faults:
        ds.SeriesDescription, ds.StudyDescription, ds.ProtocolName = "CHEST 5mm", "CT CHEST", "Chest"
    if Fault.MR in scan.faults:
        ds.SeriesDescription, ds.StudyDescription, ds.ProtocolName = "t2_tse_tra", "MR BRAIN", "t2"
    else:
        ds.ConvolutionKernel = list(dialect.bone_kernel if bone else dialect.soft_kernel)
        ds.GantryDetectorTilt = f"{phantom.tilt_deg:g}"
    for keyword, value in geometry(phantom, hu.shape[0], index).items():
        setattr(ds, keyword, value)
    ds.SliceThickness = f"{phantom.spacing_mm[0]:g}"
    ds.SpacingBetweenSlices = f"{phantom.spacing_mm[0]:g}"
    ds.SliceLocation = f"{ds.ImagePositionPatient[2]:.4f}"
    return ds
