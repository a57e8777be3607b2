"""What readers say of a de-identified study as DICOM: SR with a person as observer, SEG of what they painted.

PS3.3 A.35.13 and A.51, PS3.16 TID 1500 and 1003 (person observer). Made from the files themselves, so that
whoever has the study has what belongs to it under the same UIDs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from pacs_gateway import concepts
from pacs_gateway.evidence import image_data_sets, person, reference_data_set
from pacs_gateway.marking import NOT_FOR_DIAGNOSIS, SERIES_NUMBERS, device_words, mark, object_uid, series_uid
from pacs_gateway.results import (
    MANUFACTURER,
    Algorithm,
    NotReportable,
    Reference,
    SourceImage,
    StudyResult,
    Subject,
)

COLOURS = (
    (53.2, 80.1, 67.2),
    (87.7, -86.2, 83.2),
    (32.3, 79.2, -107.9),
    (97.1, -21.6, 94.5),
    (60.3, 98.2, -60.8),
)
"""CIELab, one a segment in turn."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one kind of stroke."""

    kind: str
    """As in `concepts.FINDINGS`."""
    presence: str
    """present, absent or uncertain."""
    share: float | None = None
    """Of the readers who saw it, an unsure one counted half."""
    ends: Sequence[str] = ()
    """SOP instance UIDs of the first and last slice of every stretch."""


def labelled_study(paths: Sequence[Path], *, digest: str, at: datetime) -> StudyResult:
    """The study behind the files, bottom to top, as the frame for its objects.

    Args:
        paths: Part 10 files of one de-identified series.
        digest: Of the data set that the labels are from; other labels make other objects.
        at: When the labels were frozen.

    Raises:
        NotReportable: no file, or one without position and orientation.
    """
    headers = [dcmread(path, stop_before_pixels=True) for path in paths]
    needed = ("ImagePositionPatient", "ImageOrientationPatient")
    placed = [each for each in headers if all(name in each for name in needed)]
    if not headers or len(placed) < len(headers):
        raise NotReportable(f"{len(headers)} files, of which {len(placed)} say where they lie")
    headers.sort(key=lambda each: float(each.ImagePositionPatient[2]))
    first = headers[0]
    heights = [float(each.ImagePositionPatient[2]) for each in headers]
    apart = float(np.median(np.diff(heights))) if len(heights) > 1 else 5.0
    subject = Subject(
        study_instance_uid=first.StudyInstanceUID,
        patient_id=str(first.get("PatientID", "")),
        patient_name=str(first.get("PatientName", "")),
        sex=str(first.get("PatientSex", "")),
        study_date=_day(first),
        study_time=str(first.get("StudyTime", "")),
        study_id=str(first.get("StudyID", "")),
        study_description=str(first.get("StudyDescription", "")),
    )
    return StudyResult(
        subject=subject,
        revision=1,
        state="clear",
        algorithm=Algorithm(name="Readers of the study", version="1", digest=digest),
        at=at,
        references=[Reference(x.SOPClassUID, x.SOPInstanceUID, x.SeriesInstanceUID) for x in headers],
        images=[_image(each, apart) for each in headers],
    )


def build_label_report(study: StudyResult, said: Sequence[Said], *, observer: str) -> Dataset:
    """Every finding with present, absent or undetermined, its slices, and who says so.

    Args:
        study: See `labelled_study`.
        said: What is said; a kind that nobody spoke of is left out.
        observer: Pseudonym of the reader, or what decided: never a name.

    Raises:
        NotReportable: nothing is said.
    """
    if not said:
        raise NotReportable("nothing is said of the study")
    images = {each.sop_instance_uid: each for each in study.images}
    named = {uid for each in said for uid in each.ends if uid in images}
    report: Dataset = sr.Comprehensive3DSR(
        evidence=[reference_data_set(each, study.subject) for each in study.references],
        content=sr.MeasurementReport(
            observation_context=sr.ObservationContext(
                observer_person_context=sr.ObserverContext(
                    observer_type=codes.DCM.Person,
                    observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(
                        name=person(observer)
                    ),
                )
            ),
            procedure_reported=concepts.HEAD_CT,
            title=codes.DCM.ImagingMeasurementReport,
            imaging_measurements=[_group(each, study, images) for each in said],
            referenced_images=[ds for ds in image_data_sets(study) if ds.SOPInstanceUID in named] or None,
        )[0],
        series_instance_uid=series_uid(study, "label-sr"),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=object_uid(study, "label-sr"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="Labels of readers (research)",
        transfer_syntax_uid=hd.UID("1.2.840.10008.1.2.1"),
    )
    mark(report, study)
    return report


def build_label_segmentation(study: StudyResult, masks: Mapping[str, NDArray[np.bool_]]) -> Dataset:
    """One binary segment for each painted finding.

    Args:
        study: See `labelled_study`.
        masks: By kind, (slices, rows, columns), from inferior to superior.

    Raises:
        NotReportable: nothing is painted, or a mask is not of the images' shape.
    """
    shape = (len(study.images), study.images[0].rows, study.images[0].columns)
    for kind, mask in masks.items():
        if mask.shape != shape:
            raise NotReportable(f"the mask of {kind} is {mask.shape}, the images are {shape}")
    drawn = {kind: mask for kind, mask in masks.items() if mask.any()}
    if not drawn:
        raise NotReportable("nothing is painted, so there is nothing to draw")
    segmentation: Dataset = hd.seg.Segmentation(
        image_data_sets(study),
        np.stack([mask.astype(np.uint8) for mask in drawn.values()], axis=-1),
        hd.seg.SegmentationTypeValues.BINARY,
        [_segment(number, kind, study) for number, kind in enumerate(drawn, start=1)],
        series_instance_uid=series_uid(study, "label-seg"),
        series_number=SERIES_NUMBERS["seg"],
        sop_instance_uid=object_uid(study, "label-seg"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        content_label="LABELS",
        content_description="Findings as a reader painted them",
        series_description=f"Labels of readers - {NOT_FOR_DIAGNOSIS}",
        **device_words(study),
    )
    # highdicom draws this UID at random; the same labels are to give the same bytes
    uid = object_uid(study, "label-dimensions")
    segmentation.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for item in segmentation.DimensionIndexSequence:
        item.DimensionOrganizationUID = uid
    segmentation.BodyPartExamined = "HEAD"
    mark(segmentation, study)
    return segmentation


def _group(
    said: Said, study: StudyResult, images: Mapping[str, SourceImage]
) -> sr.MeasurementsAndQualitativeEvaluations:
    kind = concepts.FINDINGS[said.kind]
    share = None
    if said.share is not None:
        value = round(said.share, 4)
        share = [sr.Measurement(name=concepts.READERS_SHARE, value=value, unit=codes.UCUM.NoUnits)]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=UID(object_uid(study, "label-tracking", said.kind)), identifier=said.kind
        ),
        finding_type=kind,
        finding_sites=[sr.FindingSite(concepts.BRAIN)],
        source_images=[
            sr.SourceImageForMeasurementGroup(UID(images[uid].sop_class_uid), UID(uid))
            for uid in dict.fromkeys(said.ends)
            if uid in images
        ]
        or None,
        qualitative_evaluations=[sr.QualitativeEvaluation(kind, concepts.PRESENCE[said.presence])],
        measurements=share,
    )


def _segment(number: int, kind: str, study: StudyResult) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        number,
        concepts.FINDINGS[kind].meaning,
        segmented_property_category=concepts.ABNORMAL_STRUCTURE,
        segmented_property_type=concepts.FINDINGS[kind],
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=object_uid(study, "label-tracking", kind),
        tracking_id=kind,
        anatomic_regions=[concepts.BRAIN],
        display_color=hd.color.CIELabColor(*COLOURS[(number - 1) % len(COLOURS)]),
    )


def _image(header: Dataset, apart: float) -> SourceImage:
    spacing = header.get("PixelSpacing") or [1.0, 1.0]
    thickness = header.get("SliceThickness") or apart  # the report wants one; slices touch where none is told
    return SourceImage(
        sop_class_uid=header.SOPClassUID,
        sop_instance_uid=header.SOPInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        rows=int(header.Rows),
        columns=int(header.Columns),
        position=tuple(float(each) for each in header.ImagePositionPatient),  # type: ignore[arg-type]
        orientation=tuple(float(each) for each in header.ImageOrientationPatient),  # type: ignore[arg-type]
        pixel_spacing=(float(spacing[0]), float(spacing[1])),
        thickness=float(thickness),
        instance_number=int(header.InstanceNumber) if header.get("InstanceNumber") else None,
        frame_of_reference_uid=str(header.get("FrameOfReferenceUID", "")),
    )


def _day(header: Dataset) -> date | None:
    text = str(header.get("StudyDate", ""))
    return datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 and text.isdecimal() else None
