"""Task of a consult: what one hospital asks another about a study, and what that advises (R4 Task).

A consult's Task is under `c` and its number; `r` and a number is a referral's. Its status answers its state
one to one, so that what was put is what is read: `in-progress` is a consult that was answered, which the
asking hospital has still to close, and `received` one that somebody at the asked hospital has opened.
"""

from enum import StrEnum
from typing import Any, Final

from service.consult_details import Advice, ConsultDetails
from service.consult_states import ConsultState
from service.consults import Consult
from service.fhir.about import About
from service.fhir.consult_terms import (
    ADVICE_TEXTS,
    ADVICE_WORDS,
    CONSULTATION,
    MOMENTS,
    QUANTITIES,
    SCORES,
    SPECIALTY,
    TRANSFER,
    WORDS,
    word_system,
)
from service.fhir.elements import Resource, coding, concept, filled, moment, quantity
from service.fhir.organization import organization_reference
from service.fhir.referral import HIDDEN

_S = ConsultState
STATUS: Final = {
    _S.ASKED: "requested",
    _S.ACCEPTED: "accepted",
    _S.ANSWERED: "in-progress",
    _S.CLOSED: "completed",
    _S.CANCELLED: "cancelled",
}
RECEIVED: Final = "received"
UNKNOWN: Final = "unknown"


def consult_status(consult: Consult) -> str:
    """Task.status."""
    opened = consult.state is _S.ASKED and consult.opened_at is not None
    return RECEIVED if opened else STATUS[consult.state]


def consult_version(consult: Consult) -> int:
    """Counts the moves, which a consult makes once each: whoever names an older one has missed something."""
    return 1 + sum(
        each is not None
        for each in (consult.opened_at, consult.accepted_at, consult.answered_at, consult.ended_at)
    )


def consult_task(consult: Consult, about: About | None) -> Resource:
    """A consult; without the patient where the viewer may not see the study any more."""
    changed = (consult.ended_at, consult.answered_at, consult.accepted_at, consult.opened_at)
    modified = moment(next((each for each in changed if each), consult.asked_at))
    cancelled = consult.state is _S.CANCELLED
    return filled(
        {
            "resourceType": "Task",
            "id": f"c{consult.id}",
            "meta": {"versionId": str(consult_version(consult)), "lastUpdated": modified},
            "status": consult_status(consult),
            "statusReason": concept(text=consult.ending) if cancelled else None,
            "businessStatus": concept(text=consult.state.value),
            "intent": "order",
            "priority": "stat",
            "code": concept(CONSULTATION),
            "description": consult.question,
            "focus": about.study if about else None,
            "for": about.subject if about else HIDDEN,
            "authoredOn": moment(consult.asked_at),
            "lastModified": modified,
            "requester": organization_reference(consult.hcode, consult.asked_by),
            "performerType": [concept(coding(SPECIALTY, consult.specialty.value))],
            "owner": organization_reference(consult.to_hcode, consult.answered_by or consult.accepted_by),
            "input": _inputs(ConsultDetails.model_validate(consult.details)),
            "output": _outputs(consult),
        }
    )


def _inputs(details: ConsultDetails) -> list[Resource]:
    told = details.model_dump()
    made = [_part(code, "valueDateTime", moment(told[name])) for name, code in MOMENTS.items() if told[name]]
    made += [
        _part(code, "valueInteger", told[name]) for name, code in SCORES.items() if told[name] is not None
    ]
    made += [
        _part(code, "valueQuantity", quantity(told[name], unit, unit))
        for name, (code, unit) in QUANTITIES.items()
        if told[name] is not None
    ]
    return made + [_word(code, told[name]) for name, (code, _) in WORDS.items() if told[name] != UNKNOWN]


def _outputs(consult: Consult) -> list[Resource]:
    made: list[Resource] = []
    if consult.advice:
        advice = Advice.model_validate(consult.advice)
        made = [
            _word(ADVICE_WORDS["thrombolysis"][0], advice.thrombolysis),
            _part(TRANSFER, "valueBoolean", advice.transfer),
            *(_word(ADVICE_WORDS["imaging"][0], each) for each in advice.imaging),
            *_texts(conditions=advice.conditions, text=advice.text),
        ]
    if consult.outcome:
        made += [_word(ADVICE_WORDS["outcome"][0], consult.outcome), *_texts(ending=consult.ending)]
    return made


def _texts(**texts: str) -> list[Resource]:
    return [_part(ADVICE_TEXTS[name], "valueString", text) for name, text in texts.items() if text]


def _word(code: Resource, word: StrEnum) -> Resource:
    return _part(code, "valueCodeableConcept", concept(coding(word_system(type(word)), word.value)))


def _part(code: Resource, kind: str, value: Any) -> Resource:
    return {"type": concept(code), kind: value}
