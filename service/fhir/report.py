"""DiagnosticReport and Observation: what is said of a study, by the model and by the radiologist.

Every study has a report from its first slice on: `registered` until there is an answer, `preliminary` with
the model's answer or its refusal, `final` once a radiologist has signed, `cancelled` where the analysis
failed. `clear` is never written as absent: the report says what was not flagged, and what was not assessed.
"""

import base64
from collections.abc import Sequence
from typing import Final

from pydicom.sr.coding import Code

from model.stroke import Decision
from pacs_gateway.concepts import (
    DECISIONS,
    FINDINGS,
    HEAD_CT,
    PRESENT,
    PROBABILITY,
    READER_VERDICT,
    THRESHOLD,
    TRIAGE,
    VERDICTS,
    refusal,
)
from service.fhir.device import device_reference
from service.fhir.elements import (
    AI_ASSERTED,
    HL7,
    Resource,
    coding,
    concept,
    concept_of,
    day,
    filled,
    moment,
    quantity,
    reference,
)
from service.fhir.imaging_study import study_reference
from service.fhir.told import Told
from service.findings import Analysis, Finding
from service.results import INTENDED_USE
from service.reviews import Review
from service.states import OUTCOMES, StudyState
from service.studies import Study

_SAID: Final = {
    Decision.FLAG: "Suspected by the model",
    Decision.CLEAR: "Not flagged by the model; not thereby absent",
    Decision.REVIEW: "The model abstains",
}
REVIEW: Final = "review"
_NOT_PERFORMED: Final = coding(f"{HL7}/data-absent-reason", "not-performed", "Not Performed")


def report_state(told: Told) -> str:
    """The DiagnosticReport's status."""
    if told.study.state not in OUTCOMES:
        return "registered"
    if told.study.state is StudyState.FAILED:
        return "cancelled"
    return "final" if told.signed else "preliminary"


def diagnostic_report(told: Told) -> Resource:
    """What is said of the study's current revision; its id is the Study Instance UID."""
    study, status = told.study, report_state(told)
    return filled(
        {
            "resourceType": "DiagnosticReport",
            "id": study.study_instance_uid,
            "meta": {
                **AI_ASSERTED,
                "versionId": str(max(study.revision, 1)),
                "lastUpdated": moment(study.reviewed_at or study.result_at or study.last_received_at),
            },
            "status": status,
            "category": [concept(coding(f"{HL7}/v2-0074", "RAD", "Radiology"))],
            "code": concept_of(HEAD_CT),
            "subject": told.subject,
            "effectiveDateTime": day(study.study_date),
            "issued": moment(study.reviewed_at if status == "final" else study.result_at),
            "resultsInterpreter": [{"display": told.review.reviewer}] if told.review else [],
            "result": [reference("Observation", each) for each in observation_ids(told)],
            "imagingStudy": [study_reference(study)],
            "conclusion": _conclusion(told) if study.state in OUTCOMES else None,
            "conclusionCode": _conclusion_codes(study),
            "presentedForm": [_attachment(told.report.text)] if told.report else [],
        }
    )


def observation_ids(told: Told) -> list[str]:
    """The ids of what `observations` makes, in the same order."""
    return [_id(told, _part(each)) for each in told.findings] + ([_id(told, REVIEW)] if told.review else [])


def observations(told: Told) -> list[Resource]:
    """One for each thing that the model may find, and one for the radiologist's verdict."""
    if told.analysis is None:
        return []
    found = [_finding(told, told.analysis, each) for each in told.findings]
    return found + ([_verdict(told, told.review)] if told.review else [])


def _id(told: Told, part: str) -> str:
    return f"{told.study.id}-{part}"


def _part(finding: Finding) -> str:
    return finding.stroke_type.value.replace("_", "-")


def _finding(told: Told, analysis: Analysis, finding: Finding) -> Resource:
    assessed = finding.decision is not Decision.NOT_ASSESSED
    alarming = [concept(coding(f"{HL7}/v3-ObservationInterpretation", "AA"))]
    return filled(
        {
            **_observation(told, _part(finding)),
            "meta": {**AI_ASSERTED, "versionId": str(told.study.revision)},
            "status": "preliminary",
            "code": concept_of(FINDINGS[finding.stroke_type.value]),
            "issued": moment(analysis.created_at),
            "device": device_reference(analysis),
            "valueCodeableConcept": _said(finding.decision) if assessed else None,
            "dataAbsentReason": None if assessed else concept(_NOT_PERFORMED, text=finding.reason),
            "interpretation": alarming if finding.decision is Decision.FLAG else [],
            "note": [{"text": finding.reason}] if finding.reason else [],
            "component": _numbers(finding),
        }
    )


def _observation(told: Told, part: str) -> Resource:
    return filled(
        {
            "resourceType": "Observation",
            "id": _id(told, part),
            "category": [concept(coding(f"{HL7}/observation-category", "imaging", "Imaging"))],
            "subject": told.subject,
            "effectiveDateTime": day(told.study.study_date),
            "derivedFrom": [study_reference(told.study)],
        }
    )


def _said(decision: Decision) -> Resource:
    words = concept_of(DECISIONS[decision.value])
    if decision is Decision.FLAG:
        words["coding"] += concept_of(PRESENT)["coding"]
    return {**words, "text": _SAID[decision]}


def _numbers(finding: Finding) -> Sequence[Resource]:
    def number(code: Code, value: float | None) -> list[Resource]:
        if value is None:
            return []
        return [{"code": concept_of(code), "valueQuantity": quantity(round(value, 4), "1", "1")}]

    return number(PROBABILITY, finding.probability) + number(THRESHOLD, finding.threshold)


def _verdict(told: Told, review: Review) -> Resource:
    present = [
        {"code": concept_of(FINDINGS[each]), "valueCodeableConcept": concept_of(PRESENT)}
        for each in review.present
    ]
    return filled(
        {
            **_observation(told, REVIEW),
            "status": "final" if told.signed else "preliminary",
            "code": concept_of(READER_VERDICT),
            "issued": moment(review.at),
            "performer": [{"display": review.reviewer}],
            "valueCodeableConcept": concept_of(VERDICTS[review.verdict.value]),
            "note": [{"text": review.comment}] if review.comment else [],
            "component": present,
        }
    )


def _conclusion(told: Told) -> str:
    study, sentences = told.study, []
    if study.state is StudyState.FAILED:
        sentences.append(f"Not assessed: the analysis failed in the step {study.failed_step}.")
    if study.reasons:
        sentences.append(f"Not assessed: {', '.join(map(str, study.reasons))}.")
    for decision, words in (
        (Decision.FLAG, "Suspected by AI"),
        (Decision.REVIEW, "AI abstains on"),
        (Decision.CLEAR, "Not flagged by AI"),
        (Decision.NOT_ASSESSED, "Not assessed by AI"),
    ):
        of = [each.stroke_type.value.replace("_", " ") for each in told.findings if each.decision is decision]
        if of:
            sentences.append(f"{words}: {', '.join(of)}.")
    if told.review:
        signed = "signed" if told.signed else "not signed yet"
        sentences.append(f"Radiologist: {told.review.verdict.value.replace('_', ' ')} ({signed}).")
    return " ".join([*sentences, INTENDED_USE])


def _conclusion_codes(study: Study) -> list[Resource]:
    triage = [concept_of(TRIAGE[study.state.value])] if study.state.value in TRIAGE else []
    return triage + [concept_of(refusal(each)) for each in study.reasons]


def _attachment(text: str) -> Resource:
    return {
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode(text.encode()).decode(),
        "title": "Final report",
    }
