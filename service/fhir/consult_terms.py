"""Consult terms: the codes by which a consult's Task tells condition, advice and outcome."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.condition import Anticoagulant
from service.consult_details import Imaging, Onset, Outcome, Thrombolysis
from service.fhir.elements import HUB_CODES, LOINC, SCT, Resource, coding

CONSULTATION: Final = coding(SCT, "11429006", "Consultation")
SPECIALTY: Final = f"{HUB_CODES}:specialty"
INPUT: Final = f"{HUB_CODES}:consult-input"
OUTPUT: Final = f"{HUB_CODES}:consult-output"

SCORES: Mapping[str, Resource] = MappingProxyType(
    {
        "nihss": coding(LOINC, "72089-6", "Total score NIHSS"),
        "gcs": coding(LOINC, "9269-2", "Glasgow coma score total"),
    }
)
"""Told as whole numbers."""

QUANTITIES: Mapping[str, tuple[Resource, str]] = MappingProxyType(
    {
        "systolic": (coding(LOINC, "8480-6", "Systolic blood pressure"), "mm[Hg]"),
        "diastolic": (coding(LOINC, "8462-4", "Diastolic blood pressure"), "mm[Hg]"),
        "glucose": (coding(LOINC, "2339-0", "Glucose [Mass/volume] in Blood"), "mg/dL"),
        "inr": (coding(LOINC, "6301-6", "INR in Platelet poor plasma by Coagulation assay"), "1"),
    }
)
"""With the UCUM unit in which each is told and taken; no other is converted."""

MOMENTS: Mapping[str, Resource] = MappingProxyType(
    {
        "onset_at": coding(INPUT, "onset-at", "Onset, or when last known well"),
        "last_dose_at": coding(INPUT, "last-dose-at", "Last dose of the anticoagulant"),
    }
)
WORDS: Mapping[str, tuple[Resource, type[StrEnum]]] = MappingProxyType(
    {
        "onset": (coding(INPUT, "onset", "What is known of the beginning"), Onset),
        "anticoagulant": (coding(INPUT, "anticoagulant", "Anticoagulant"), Anticoagulant),
    }
)
"""Closed words of the condition; `unknown` is left out."""

ADVICE_WORDS: Mapping[str, tuple[Resource, type[StrEnum]]] = MappingProxyType(
    {
        "thrombolysis": (coding(OUTPUT, "thrombolysis", "Thrombolysis advised"), Thrombolysis),
        "imaging": (coding(OUTPUT, "imaging", "Further imaging wanted"), Imaging),
        "outcome": (coding(OUTPUT, "outcome", "Outcome"), Outcome),
    }
)
ADVICE_TEXTS: Mapping[str, Resource] = MappingProxyType(
    {
        "conditions": coding(OUTPUT, "conditions", "Conditions"),
        "text": coding(OUTPUT, "text", "Advice in words"),
        "ending": coding(OUTPUT, "ending", "Outcome in words"),
    }
)
TRANSFER: Final = coding(OUTPUT, "transfer", "Transfer advised")


def word_system(closed: type[StrEnum]) -> str:
    """The code system of a closed list of words."""
    return f"{HUB_CODES}:{closed.__name__.lower()}"
