"""Provenance: which model and which radiologist a report comes from."""

from sqlalchemy.orm import Session

from service.fhir.device import device_reference
from service.fhir.elements import AI_ASSERTED, HL7, Resource, coding, concept, filled, moment, reference
from service.fhir.imaging_study import study_reference
from service.fhir.report import observations
from service.findings import analysis_of
from service.reviews import standing_review
from service.studies import Study

_PARTICIPANT = f"{HL7}/provenance-participant-type"


def provenance(session: Session, study: Study) -> Resource | None:
    """Of the study's report; None until a model has answered. Its id is the Study Instance UID."""
    analysis = analysis_of(session, study)
    if analysis is None:
        return None
    review = standing_review(session, analysis)
    agents = [{"type": concept(coding(_PARTICIPANT, "assembler")), "who": device_reference(analysis)}]
    if review:
        who = {"display": review.reviewer}
        agents.append({"type": concept(coding(_PARTICIPANT, "verifier")), "who": who})
    return filled(
        {
            "resourceType": "Provenance",
            "id": study.study_instance_uid,
            "meta": AI_ASSERTED,
            "target": [
                reference("DiagnosticReport", study.study_instance_uid),
                *(reference("Observation", each["id"]) for each in observations(session, study)),
            ],
            "recorded": moment(review.at if review else analysis.created_at),
            "agent": agents,
            "entity": [{"role": "source", "what": study_reference(study)}],
        }
    )
