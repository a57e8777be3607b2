"""Provenance: which model and which radiologist a report comes from."""

from service.fhir.device import device_reference
from service.fhir.elements import AI_ASSERTED, HL7, Resource, coding, concept, filled, moment, reference
from service.fhir.imaging_study import study_reference
from service.fhir.report import observation_ids
from service.fhir.told import Told

_PARTICIPANT = f"{HL7}/provenance-participant-type"


def provenance(told: Told) -> Resource | None:
    """Of the study's report; None until a model has answered. Its id is the Study Instance UID."""
    analysis, review, uid = told.analysis, told.review, told.study.study_instance_uid
    if analysis is None:
        return None
    agents = [{"type": concept(coding(_PARTICIPANT, "assembler")), "who": device_reference(analysis)}]
    if review:
        who = {"display": review.reviewer}
        agents.append({"type": concept(coding(_PARTICIPANT, "verifier")), "who": who})
    return filled(
        {
            "resourceType": "Provenance",
            "id": uid,
            "meta": AI_ASSERTED,
            "target": [
                reference("DiagnosticReport", uid),
                *(reference("Observation", each) for each in observation_ids(told)),
            ],
            "recorded": moment(review.at if review else analysis.created_at),
            "agent": agents,
            "entity": [{"role": "source", "what": study_reference(told.study)}],
        }
    )
