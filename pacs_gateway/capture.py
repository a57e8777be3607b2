"""The key slices as plain pictures for PACS that show nothing else: Secondary Capture. PS3.3 A.8.1."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from pacs_gateway.evidence import subject_data_set
from pacs_gateway.marking import (
    NOT_FOR_DIAGNOSIS,
    SERIES_NUMBERS,
    device_words,
    mark,
    object_uid,
    series_uid,
    summary,
)
from pacs_gateway.results import MANUFACTURER, RESEARCH_USE, StudyResult

SIDE = 512
BAND = 26
"""Rows of the red band above and below, which say what this is."""
RED, WHITE = (160, 0, 0), (255, 255, 255)
LINE = 62
"""Characters of a line on the page of a refused study."""


def build_captures(result: StudyResult) -> list[Dataset]:
    """A picture for each key slice; where there is none, a page of words on what became of the study."""
    pictures = [each.picture for each in result.key_slices if each.picture is not None]
    pages = [_framed(_fitted(picture)) for picture in pictures] or [_framed(_written(result))]
    return [_capture(page, number, result) for number, page in enumerate(pages, start=1)]


def _capture(page: NDArray[np.uint8], number: int, result: StudyResult) -> Dataset:
    subject = subject_data_set(result.subject)
    ds: Dataset = hd.sc.SCImage(
        page,
        hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        study_instance_uid=result.subject.study_instance_uid,
        series_instance_uid=series_uid(result, "sc"),
        series_number=SERIES_NUMBERS["sc"],
        sop_instance_uid=object_uid(result, "sc", number),
        instance_number=number,
        manufacturer=MANUFACTURER,
        patient_id=subject.PatientID,
        patient_name=subject.PatientName,
        patient_birth_date=subject.PatientBirthDate,
        patient_sex=subject.PatientSex or None,
        accession_number=subject.AccessionNumber,
        study_id=subject.StudyID,
        study_date=subject.StudyDate,
        study_time=subject.StudyTime,
        referring_physician_name=subject.ReferringPhysicianName,
        patient_orientation=("L", "P"),
        series_description=f"AI key slices - {NOT_FOR_DIAGNOSIS}",
        specific_character_set="ISO_IR 192",
        **device_words(result),
    )
    ds.BodyPartExamined = "HEAD"  # Laterality would be required without it
    ds.BurnedInAnnotation, ds.RecognizableVisualFeatures = "YES", "NO"
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    ds.DerivationDescription = summary(result)[:1024]
    ds.ImageComments = RESEARCH_USE
    mark(ds, result)
    return ds


def _fitted(picture: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (SIDE, SIDE))
    page.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return page


def _written(result: StudyResult) -> Image.Image:
    page = Image.new("RGB", (SIDE, SIDE))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    lines: list[str] = []
    for paragraph in (summary(result), *result.notes):
        lines += [*_wrapped(paragraph), ""]
    for row, line in enumerate(lines[: SIDE // 20 - 1]):
        draw.text((12, 10 + 20 * row), line, WHITE, font)
    return page


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _framed(page: Image.Image) -> NDArray[np.uint8]:
    framed = Image.new("RGB", (SIDE, SIDE + 2 * BAND), RED)
    framed.paste(page, (0, BAND))
    draw, font = ImageDraw.Draw(framed), ImageFont.load_default(16)
    for row in (BAND // 2, SIDE + BAND + BAND // 2):
        draw.text((SIDE / 2, row), f"AI - {NOT_FOR_DIAGNOSIS}", WHITE, font, anchor="mm")
    return np.asarray(framed)
