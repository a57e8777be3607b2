"""The result as a structured report: Comprehensive 3D SR, TID 1500, preliminary until a radiologist signs.

Silence is no answer, so a study that was refused or in which nothing was found has a report too, and what the
model is not proven for is listed as not assessed. PS3.3 A.35.13, PS3.16 TID 1500, 1501, 1411.
"""

from collections.abc import Sequence

import highdicom as hd
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from pacs_gateway import concepts
from pacs_gateway.evidence import derived_uid, image_data_sets, person, reference_data_set
from pacs_gateway.marking import SERIES_NUMBERS, mark, object_uid, series_uid, summary
from pacs_gateway.results import (
    MANUFACTURER,
    RESEARCH_USE_TH,
    NotReportable,
    Reference,
    Statement,
    StudyResult,
)

STATES_TH = {
    "flagged": "ผลคัดกรอง: สงสัยความผิดปกติ ควรอ่านก่อน",
    "clear": "ผลคัดกรอง: ไม่พบสิ่งที่สงสัยในชนิดที่ประเมิน (ไม่ได้แปลว่าปกติ)",
    "review": "ผลคัดกรอง: ระบบไม่ตัดสิน ต้องให้แพทย์อ่าน",
    "refused": "ไม่ได้ประเมินภาพชุดนี้ ดูเหตุผลด้านล่าง",
}
DIGITS = 4


def build_report(
    result: StudyResult, *, segmentation: Dataset | None = None, previous: Reference | None = None
) -> Dataset:
    """Write down everything that is said of a study.

    Args:
        result: What is said.
        segmentation: The object of `build_segmentation` of the same result, to refer to.
        previous: The report that this one replaces.

    Raises:
        NotReportable: the study has no instance to report on.
    """
    if not result.references:
        raise NotReportable(f"study {result.subject.study_instance_uid} has no instance to report on")
    evidence = [reference_data_set(each, result.subject) for each in result.references]
    if segmentation is not None:
        evidence.append(segmentation)
    content = sr.MeasurementReport(
        observation_context=_observer(result),
        procedure_reported=concepts.HEAD_CT,
        title=codes.DCM.ImagingMeasurementReport,
        imaging_measurements=[
            _study_group(result),
            *(_finding_group(each, result) for each in result.statements),
            *_suspicion_groups(result, segmentation),
        ],
        referenced_images=_library(result) or None,
    )
    for text in _texts(result):
        content[0].ContentSequence.append(
            sr.TextContentItem(concepts.COMMENT, text, sr.RelationshipTypeValues.CONTAINS)
        )
    signed = result.signature
    report: Dataset = sr.Comprehensive3DSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=series_uid(result, "sr"),
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=object_uid(result, "sr"),
        instance_number=1 if signed is None else 2,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=signed is not None,
        is_verified=signed is not None,
        verifying_observer_name=person(signed.reviewer) if signed else None,
        verifying_organization=signed.organisation if signed else None,
        previous_versions=[reference_data_set(previous, result.subject)] if previous else None,
        series_description="AI results, read by a radiologist" if signed else "AI results (unverified)",
        transfer_syntax_uid=hd.UID("1.2.840.10008.1.2.1"),
    )
    mark(report, result)
    if signed is not None:
        report.VerifyingObserverSequence[0].VerificationDateTime = f"{signed.at:%Y%m%d%H%M%S}+0000"
    return report


def _library(result: StudyResult) -> list[Dataset]:
    """The key slices with their geometry; TID 1602 reads it where single images have it."""
    telling = {each.image.sop_instance_uid for each in result.key_slices if each.image.frame is None}
    return [ds for ds in image_data_sets(result) if ds.SOPInstanceUID in telling]


def _observer(result: StudyResult) -> sr.ObservationContext:
    algorithm = result.algorithm
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=derived_uid("device", algorithm.digest),
                name=algorithm.name,
                manufacturer_name=MANUFACTURER,
                model_name=algorithm.name,
                serial_number=algorithm.serial_number,
            ),
        )
    )


def _algorithm(result: StudyResult) -> sr.AlgorithmIdentification:
    thresholds = [
        f"threshold.{s.kind}={s.threshold:.4f}" for s in result.statements if s.threshold is not None
    ]
    return sr.AlgorithmIdentification(
        name=result.algorithm.name,
        version=result.algorithm.version,
        family=concepts.AI,
        parameters=[f"weights.sha256={result.algorithm.digest}", *thresholds],
        manufacturer=MANUFACTURER,
    )


def _study_group(result: StudyResult) -> sr.MeasurementsAndQualitativeEvaluations:
    """What is said of the study as a whole."""
    said = [
        sr.QualitativeEvaluation(concepts.TRIAGE_CATEGORY, concepts.TRIAGE[result.state]),
        sr.QualitativeEvaluation(concepts.PROCESSING_SUMMARY, concepts.PROCESSING[result.state]),
        *(
            sr.QualitativeEvaluation(concepts.NOT_ASSESSED_BECAUSE, concepts.refusal(reason))
            for reason in result.reasons
        ),
    ]
    if result.signature is not None:
        verdict = concepts.VERDICTS[result.signature.verdict]
        said.append(sr.QualitativeEvaluation(concepts.READER_VERDICT, verdict))
        said += [
            sr.QualitativeEvaluation(concepts.FINDINGS[kind], concepts.PRESENT)
            for kind in result.signature.present
        ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(result, "study"),
        finding_type=concepts.STROKE,
        algorithm_id=_algorithm(result),
        finding_sites=[sr.FindingSite(concepts.BRAIN)],
        source_images=_key_images(result),
        qualitative_evaluations=said,
    )


def _finding_group(statement: Statement, result: StudyResult) -> sr.MeasurementsAndQualitativeEvaluations:
    """What is said of one kind of stroke: decision, probability, threshold."""
    measured: list[tuple[Code, float | None]] = [
        (concepts.PROBABILITY, statement.probability),
        (concepts.THRESHOLD, statement.threshold),
    ]
    numbers = [
        sr.Measurement(name=name, value=round(value, DIGITS), unit=codes.UCUM.NoUnits)
        for name, value in measured
        if value is not None
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(result, statement.kind),
        finding_type=concepts.FINDINGS[statement.kind],
        algorithm_id=_algorithm(result),
        finding_sites=[sr.FindingSite(concepts.BRAIN)],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(concepts.DECISION, concepts.DECISIONS[statement.decision])
        ],
        measurements=numbers or None,
    )


def _suspicion_groups(
    result: StudyResult, segmentation: Dataset | None
) -> list[sr.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    """The suspected blood as a region with its volume."""
    if segmentation is None or result.suspicion is None:
        return []
    segment = segmentation.SegmentSequence[0]
    return [
        sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
            referenced_segment=sr.ReferencedSegment(
                segmentation.SOPClassUID,
                segmentation.SOPInstanceUID,
                1,
                source_series=sr.SourceSeriesForSegmentation(UID(result.images[0].series_instance_uid)),
            ),
            finding_type=concepts.HEMORRHAGE,
            finding_sites=[sr.FindingSite(concepts.BRAIN)],
            algorithm_id=_algorithm(result),
            measurements=[
                sr.Measurement(
                    name=concepts.VOLUME,
                    value=round(result.suspicion.volume_ml, 2),
                    unit=concepts.MILLILITRE,
                )
            ],
        )
    ]


def _key_images(result: StudyResult) -> list[sr.SourceImageForMeasurementGroup] | None:
    return [
        sr.SourceImageForMeasurementGroup(
            UID(each.image.sop_class_uid),
            UID(each.image.sop_instance_uid),
            None if each.image.frame is None else [each.image.frame],
        )
        for each in result.key_slices
    ] or None


def _tracking(result: StudyResult, name: str) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=object_uid(result, "tracking", name), identifier=name)


def _texts(result: StudyResult) -> Sequence[str]:
    """The same for people, in English and Thai, with the reasons in full."""
    reasons = [f"{each.kind}: {each.reason}" for each in result.statements if each.reason]
    signed = result.signature
    comment = [f"Radiologist: {signed.comment}"] if signed and signed.comment else []
    return [
        summary(result),
        f"{STATES_TH[result.state]} {RESEARCH_USE_TH}",
        *result.notes,
        *reasons,
        *comment,
    ]
