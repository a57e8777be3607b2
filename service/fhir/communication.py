"""Communication: a message of an alert with the proof that it arrived, and a message of a consult.

An alert's message is under `a` and its number, a consult's under `m` and its number (R4 Communication). What
an alert says holds nothing of a patient; whom it is about is told only to who may see the study.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.alert_deliveries import AlertDelivery, TellState
from service.alerts import CALM, Alert
from service.case_numbers import case_number
from service.consult_messages import ConsultMessage
from service.consults import Consult
from service.fhir.about import About
from service.fhir.elements import (
    HL7,
    HUB_CODES,
    Resource,
    coding,
    concept,
    filled,
    identifier,
    moment,
    reference,
)
from service.fhir.organization import organization_reference

ALERT_NUMBER: Final = "urn:imaging-hub:alert"
"""System of the number that all messages of one alert share."""
CATEGORY: Final = f"{HL7}/communication-category"
ALERT, CONSULT = "alert", "instruction"
"""Codes of the two kinds."""

STATUS: Mapping[TellState, str] = MappingProxyType(
    {
        TellState.WAITING: "in-progress",
        TellState.DELIVERED: "completed",
        TellState.REFUSED: "not-done",
        TellState.EXPIRED: "not-done",
        TellState.WITHDRAWN: "stopped",
    }
)
"""Communication.status of an alert's message."""

_PAGE: Final = re.compile(r"/(consults|referrals)/([1-9][0-9]{0,17})")
_LETTER: Final = {"consults": "c", "referrals": "r"}


def page_of_task(number: str) -> str | None:
    """The page that alerts about a Task lead to, by the Task's id; None where it is no such id."""
    for folder, letter in _LETTER.items():
        if _PAGE.fullmatch(page := f"/{folder}/{number.removeprefix(letter)}") and number.startswith(letter):
            return page
    return None


def alert_message(message: AlertDelivery, alert: Alert, about: About | None) -> Resource:
    """One message of an alert; `sent` and `received` are there once the other side said that it took it."""
    arrived = message.state is TellState.DELIVERED
    return filled(
        {
            "resourceType": "Communication",
            "id": f"a{message.id}",
            "identifier": [identifier(ALERT_NUMBER, str(alert.id))],
            "basedOn": _based_on(alert.path),
            "status": STATUS[message.state],
            "statusReason": _why_not(message),
            "category": [concept(coding(CATEGORY, ALERT, "Alert"))],
            "priority": "routine" if alert.kind in CALM else "stat",
            "medium": [concept(coding(f"{HUB_CODES}:alert-way", message.way.value))],
            "subject": about.subject if about else None,
            "about": [about.study] if about else [],
            "sent": moment(message.created_at) if arrived else None,
            "received": moment(message.delivered_at) if arrived else None,
            "sender": {"display": "Imaging Hub"},
            "recipient": [_recipient(message.told)],
            "reasonCode": _reasons(message, alert),
            "payload": [{"contentString": _said(message, alert)}],
            "note": [{"text": message.proof}] if message.proof and arrived else [],
        }
    )


def consult_message(message: ConsultMessage, consult: Consult, about: About | None) -> Resource:
    """What one side of a consult wrote to the other."""
    other = consult.hcode if message.hcode == consult.to_hcode else consult.to_hcode
    shown = ", ".join(map(str, message.slices))
    words = [message.text, f"slices {shown}" if shown else ""]
    writer = organization_reference(message.hcode, message.written_by) or {"display": message.written_by}
    return filled(
        {
            "resourceType": "Communication",
            "id": f"m{message.id}",
            "basedOn": [reference("Task", f"c{consult.id}")],
            "status": "completed",
            "category": [concept(coding(CATEGORY, CONSULT, "Instruction"))],
            "subject": about.subject if about else None,
            "about": [about.study] if about else [],
            "sent": moment(message.at),
            "sender": writer,
            "recipient": [organization_reference(other)],
            "payload": [{"contentString": each} for each in words if each],
        }
    )


def _reasons(message: AlertDelivery, alert: Alert) -> list[Resource]:
    """What happened, and of a message that takes it back also why."""
    made = [concept(coding(f"{HUB_CODES}:alert-kind", alert.kind.value))]
    if message.corrects and alert.withdrawn_because:
        made.append(concept(coding(f"{HUB_CODES}:alert-withdrawn", alert.withdrawn_because.value)))
    return made


def _said(message: AlertDelivery, alert: Alert) -> str:
    said = f"{alert.kind.value} withdrawn" if message.corrects else alert.kind.value
    return f"{said}: {case_number(alert.study_id)}, {alert.hcode}"


def _based_on(path: str) -> list[Resource]:
    if (found := _PAGE.fullmatch(path)) is None:
        return []
    return [reference("Task", f"{_LETTER[found[1]]}{found[2]}")]


def _recipient(told: str) -> Resource:
    """A hospital by its code, a person by the name they sign in with."""
    if len(told) == 5 and told.isascii() and told.isdecimal():
        return reference("Organization", told)
    return {"display": told}


def _why_not(message: AlertDelivery) -> Resource | None:
    if message.state in (TellState.WAITING, TellState.DELIVERED):
        return None
    return concept(coding(f"{HUB_CODES}:message-state", message.state.value), text=message.proof or None)
