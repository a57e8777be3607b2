"""DocumentReference: the letter of a referral, and a consult taken away whole (R4 DocumentReference).

A letter is under `r` and its referral's number, a consult under `c` and its own. The documents themselves lie
behind the hub's API, which makes each anew when it is fetched.
"""

from typing import Final

from service.consult_states import OPEN
from service.consults import Consult
from service.fhir.about import About
from service.fhir.consult import consult_version
from service.fhir.elements import LOINC, Resource, coding, concept, filled, moment, reference
from service.fhir.organization import organization_reference
from service.referral_states import ReferralState
from service.referrals import Referral

REFERRAL_NOTE: Final = coding(LOINC, "57133-1", "Referral note")
CONSULT_NOTE: Final = coding(LOINC, "11488-4", "Consult note")
LETTER_TITLE: Final = "ใบส่งต่อผู้ป่วย"


def letter_reference(referral: Referral, about: About | None, *, root: str) -> Resource:
    """Where the letter of a referral is.

    Args:
        referral: One whose patient the viewer may see.
        about: Its patient and study, where the viewer may see that.
        root: The hub's address up to the host.
    """
    draft = referral.state is ReferralState.DRAFT
    return filled(
        {
            "resourceType": "DocumentReference",
            "id": f"r{referral.id}",
            "meta": {"versionId": str(referral.version), "lastUpdated": moment(referral.changed_at)},
            "status": "current",
            "docStatus": "preliminary" if draft else "final",
            "type": concept(REFERRAL_NOTE),
            "subject": about.subject if about else None,
            "date": moment(referral.created_at),
            "author": [organization_reference(referral.from_hcode)],
            "content": [
                {
                    "attachment": {
                        "contentType": "application/pdf",
                        "language": "th",
                        "url": f"{root}/api/v1/referrals/{referral.id}/letter.pdf",
                        "title": LETTER_TITLE,
                    }
                }
            ],
            "context": {
                "related": [
                    *([about.study] if about else []),
                    *(reference(kind, f"r{referral.id}") for kind in ("ServiceRequest", "Task")),
                ]
            },
        }
    )


def consult_reference(consult: Consult, about: About | None, *, root: str) -> Resource:
    """Where the export of a consult is: question, condition, thread, advice and outcome as JSON."""
    task = reference("Task", f"c{consult.id}")
    return filled(
        {
            "resourceType": "DocumentReference",
            "id": f"c{consult.id}",
            "meta": {"versionId": str(consult_version(consult))},
            "status": "current",
            "docStatus": "preliminary" if consult.state in OPEN else "final",
            "type": concept(CONSULT_NOTE),
            "subject": about.subject if about else None,
            "date": moment(consult.asked_at),
            "author": [organization_reference(each) for each in _hospitals(consult)],
            "content": [
                {
                    "attachment": {
                        "contentType": "application/json",
                        "url": f"{root}/api/v1/consults/{consult.id}",
                        "title": "Consult",
                    }
                }
            ],
            "context": {"related": [about.study, task] if about else [task]},
        }
    )


def _hospitals(consult: Consult) -> list[str]:
    """Who asks, and from the advice on who answers."""
    return [consult.hcode, *([consult.to_hcode] if consult.advice else [])]
