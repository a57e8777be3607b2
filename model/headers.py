"""What the header of one CT slice says, as far as choosing and stacking slices needs it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from model.part10 import Elements, read_part10

Triple = tuple[float, float, float]


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


TAG = {
    keyword: _tag(keyword)
    for keyword in (
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "ImageType",
        "StudyDate",
        "AcquisitionDate",
        "AcquisitionTime",
        "SeriesTime",
        "SeriesDescription",
        "ProtocolName",
        "BodyPartExamined",
        "ConvolutionKernel",
        "ContrastBolusAgent",
        "LossyImageCompression",
        "PatientAge",
        "PatientBirthDate",
        "SliceThickness",
        "GantryDetectorTilt",
        "AcquisitionNumber",
        "InstanceNumber",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PhotometricInterpretation",
        "RescaleSlope",
        "RescaleIntercept",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
        "NumberOfFrames",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "CTReconstructionSequence",
        "ContrastBolusAgentSequence",
    )
}
WANTED = frozenset(TAG.values())

FARTHEST_MM = 1e5
"""A position farther off is damage."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the stored pixels become Hounsfield units. DICOM PS3.3 C.7.6.3, C.11.1."""

    rows: int
    columns: int
    samples: int = 1
    bits_allocated: int = 16
    bits_stored: int = 16
    high_bit: int = 15
    signed: bool = True
    photometric: str = "MONOCHROME2"
    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[int, int] | None = None
    """Lowest and highest stored value that mean `no measurement`."""
    frames: int = 1


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice: a file, or one frame of an enhanced file."""

    path: Path
    series_instance_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    description: str = ""
    """SeriesDescription; ProtocolName, which speaks of the whole examination, only where that is empty."""
    body_part: str = ""
    kernel: str = ""
    contrast_agent: str = ""
    position: Triple | None = None
    orientation: tuple[float, ...] | None = None
    pixel_spacing: tuple[float, float] | None = None
    thickness_mm: float | None = None
    gantry_tilt: float | None = None
    acquired: str = ""
    """AcquisitionDate and AcquisitionTime as they stand, for ordering only."""
    acquisition_number: str = ""
    instance_number: int | None = None
    age_years: float | None = None
    """From PatientAge."""
    birth_age_years: float | None = None
    """From PatientBirthDate and the date of the study."""
    lossy: bool = False
    """Whether it says that it was compressed with loss, however it is encoded now."""
    frame: int = 0
    pixels: PixelFormat | None = None
    """None when the file holds no image."""


def read_headers(path: Path) -> list[SliceHeader]:
    """Read one file: one header, or one for each frame of an enhanced file.

    Raises:
        BadPart10: not a DICOM file, or damaged before its pixel data.
    """
    part10 = read_part10(path, WANTED)
    elements = part10.elements
    frames = _integer(elements.text(TAG["NumberOfFrames"])) or 1
    groups = elements.sequences.get(TAG["PerFrameFunctionalGroupsSequence"], [])
    shared = (elements.sequences.get(TAG["SharedFunctionalGroupsSequence"]) or [Elements()])[0]
    if not groups:
        return [_header(path, part10.transfer_syntax_uid, elements, frames=frames)]
    return [
        _header(
            path, part10.transfer_syntax_uid, _flattened(elements, shared, group), frames=frames, frame=index
        )
        for index, group in enumerate(groups[:frames])
    ]


def _flattened(elements: Elements, shared: Elements, group: Elements) -> Elements:
    """The functional groups that matter, laid over the data set as a classic slice would hold them."""
    values = dict(elements.values)
    for source in (shared, group):
        for items in source.sequences.values():
            for item in items[:1]:
                values |= item.values
    sequences = {**elements.sequences, **shared.sequences, **group.sequences}
    return Elements(values, sequences, elements.byte_order)


def _header(path: Path, syntax: str, elements: Elements, *, frames: int, frame: int = 0) -> SliceHeader:
    position = elements.floats(TAG["ImagePositionPatient"])
    orientation = elements.floats(TAG["ImageOrientationPatient"])
    spacing = elements.floats(TAG["PixelSpacing"])
    thickness = _first(elements.floats(TAG["SliceThickness"]))
    return SliceHeader(
        path=path,
        series_instance_uid=elements.text(TAG["SeriesInstanceUID"]),
        sop_instance_uid=elements.text(TAG["SOPInstanceUID"]),
        study_instance_uid=elements.text(TAG["StudyInstanceUID"]),
        transfer_syntax_uid=syntax,
        modality=elements.text(TAG["Modality"]).upper(),
        image_type=tuple(word.upper() for word in elements.texts(TAG["ImageType"])),
        description=elements.text(TAG["SeriesDescription"]) or elements.text(TAG["ProtocolName"]),
        body_part=elements.text(TAG["BodyPartExamined"]).upper(),
        kernel=" ".join(elements.texts(TAG["ConvolutionKernel"])),
        contrast_agent=_contrast_agent(elements),
        position=(position[0], position[1], position[2]) if _within(position, 3, FARTHEST_MM) else None,
        orientation=orientation if _within(orientation, 6, 1.01) else None,
        pixel_spacing=(spacing[0], spacing[1]) if _within(spacing, 2, 10.0) and min(spacing) > 0.01 else None,
        thickness_mm=thickness if thickness is not None and 0 < thickness < 100 else None,
        gantry_tilt=_first(elements.floats(TAG["GantryDetectorTilt"])),
        acquired=elements.text(TAG["AcquisitionDate"]) + (elements.text(TAG["AcquisitionTime"]) or "0"),
        acquisition_number=elements.text(TAG["AcquisitionNumber"]),
        instance_number=_integer(elements.text(TAG["InstanceNumber"])),
        age_years=age_from_string(elements.text(TAG["PatientAge"])),
        birth_age_years=age_between(elements.text(TAG["PatientBirthDate"]), elements.text(TAG["StudyDate"])),
        lossy=elements.text(TAG["LossyImageCompression"]) == "01",
        frame=frame,
        pixels=_pixel_format(elements, frames),
    )


def _pixel_format(elements: Elements, frames: int) -> PixelFormat | None:
    rows, columns = elements.unsigned(TAG["Rows"]), elements.unsigned(TAG["Columns"])
    if not rows or not columns:
        return None
    allocated = elements.unsigned(TAG["BitsAllocated"]) or 16
    stored = elements.unsigned(TAG["BitsStored"]) or allocated
    signed = elements.unsigned(TAG["PixelRepresentation"]) == 1
    high_bit = elements.unsigned(TAG["HighBit"])
    slope = _first(elements.floats(TAG["RescaleSlope"]))
    return PixelFormat(
        rows=rows,
        columns=columns,
        samples=elements.unsigned(TAG["SamplesPerPixel"]) or 1,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high_bit is None else high_bit,
        signed=signed,
        photometric=elements.text(TAG["PhotometricInterpretation"]) or "MONOCHROME2",
        slope=slope if slope else 1.0,
        intercept=_first(elements.floats(TAG["RescaleIntercept"])) or 0.0,
        padding=_padding(elements, signed=signed),
        frames=frames,
    )


def _padding(elements: Elements, *, signed: bool) -> tuple[int, int] | None:
    ends = [elements.unsigned(TAG[word]) for word in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    found = [value - 65536 if signed and value >= 32768 else value for value in ends if value is not None]
    return (min(found), max(found)) if ends[0] is not None else None


def _contrast_agent(elements: Elements) -> str:
    if elements.sequences.get(TAG["ContrastBolusAgentSequence"]):
        return elements.text(TAG["ContrastBolusAgent"]) or "(coded)"
    return elements.text(TAG["ContrastBolusAgent"])


def age_from_string(text: str) -> float | None:
    """Years from an AS value such as 012Y, 018M, 006W, 003D.

    000Y is what consoles write when nobody entered an age, so it counts as unknown.
    """
    number, unit = text[:-1], text[-1:].upper()
    years = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}.get(unit)
    if years is None or not number.isascii() or not number.isdigit() or (unit == "Y" and int(number) == 0):
        return None
    return int(number) * years


def age_between(birth: str, study: str) -> float | None:
    """Years between two DA values, either of them perhaps in the Buddhist era."""
    born, seen = _date(birth), _date(study)
    if born is None or seen is None or not dt.timedelta(0) <= seen - born < dt.timedelta(days=130 * 366):
        return None
    return (seen - born).days / 365.25


def _date(text: str) -> dt.date | None:
    digits = text.replace(".", "").replace("-", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    year = int(digits[:4])
    try:
        return dt.date(year - 543 if year > 2400 else year, int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _first(numbers: tuple[float, ...]) -> float | None:
    return numbers[0] if numbers else None


def _integer(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def _within(numbers: tuple[float, ...], count: int, limit: float) -> bool:
    return len(numbers) == count and all(abs(number) <= limit for number in numbers)
