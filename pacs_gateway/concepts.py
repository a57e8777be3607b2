"""The coded words of our reports: SNOMED CT and DICOM where a code is sure, our own scheme elsewhere.

Private codes are in the scheme 99R8HUB, which the conformance statement publishes. A code that becomes sure
is changed in these tables and nowhere else.
"""

from typing import Final

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

PRIVATE: Final = "99R8HUB"


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _own(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE, meaning)


FINDINGS: Final[dict[str, Code]] = {
    "any_ich": _sct("1386000", "Intracranial hemorrhage"),
    "iph": _sct("274100004", "Cerebral hemorrhage"),
    "ivh": _own("ICH.IVH", "Intraventricular hemorrhage"),
    "sah": _sct("21454007", "Subarachnoid intracranial hemorrhage"),
    "sdh": _sct("35486000", "Subdural intracranial hemorrhage"),
    "edh": _own("ICH.EDH", "Epidural hemorrhage"),
    "acute_ischaemia": _own("AIS", "Acute cerebral ischemia"),
    "hyperdense_artery": _own("HMCA", "Hyperdense cerebral artery"),
    "old_infarct": _own("INFARCT.OLD", "Old cerebral infarct"),
    "mass_effect": _own("MASS", "Intracranial mass effect"),
}

DECISIONS: Final[dict[str, Code]] = {
    "flag": _own("AI.FLAG", "Flagged by AI"),
    "clear": _own("AI.CLEAR", "Not flagged by AI"),
    "review": _own("AI.REVIEW", "AI abstains"),
    "not_assessed": _own("AI.NONE", "Not assessed by AI"),
}

TRIAGE: Final[dict[str, Code]] = {
    "flagged": _own("TRIAGE.FLAGGED", "Flagged: to be read first"),
    "clear": _own("TRIAGE.CLEAR", "Not flagged: to be read as usual"),
    "review": _own("TRIAGE.REVIEW", "Undecided: to be read by a person"),
    "refused": _own("TRIAGE.REFUSED", "Not assessed"),
}

PROCESSING: Final[dict[str, Code]] = {
    "flagged": Code("111242", "DCM", "All algorithms succeeded; with findings"),
    "clear": Code("111241", "DCM", "All algorithms succeeded; without findings"),
    "review": Code("111242", "DCM", "All algorithms succeeded; with findings"),
    "refused": Code("111245", "DCM", "No algorithms succeeded; without findings"),
}
"""PS3.16 CID 6047."""

VERDICTS: Final[dict[str, Code]] = {
    "agree": _own("READER.AGREE", "Radiologist agrees"),
    "correct": _own("READER.CORRECT", "Radiologist corrects"),
    "not_assessable": _own("READER.UNREAD", "Not assessable, says radiologist"),
}

STROKE: Final = _sct("230690007", "Cerebrovascular accident")
HEMORRHAGE: Final = _sct("50960005", "Hemorrhage")
ABNORMAL_STRUCTURE: Final = _sct("49755003", "Morphologically Abnormal Structure")
BRAIN: Final = _sct("12738006", "Brain")
VOLUME: Final = _sct("118565006", "Volume")
PRESENT: Final = _sct("52101004", "Present")
PRESENCE: Final[dict[str, Code]] = {
    "present": PRESENT,
    "absent": _sct("2667000", "Absent"),
    "uncertain": _sct("373068000", "Undetermined"),
}
READERS_SHARE: Final = _own("READERS.SHARE", "Share of readers who saw it")
MILLILITRE: Final = Code("ml", "UCUM", "milliliter")
HEAD_CT: Final = Code("30799-1", "LN", "CT Head WO contrast")
AI: Final = codes.DCM.ArtificialIntelligence
PROBABILITY: Final = Code("122157", "DCM", "Probability")  # 2.4 of the code table: in the DICOM dictionary
COMMENT: Final = Code("121106", "DCM", "Comment")
PROCESSING_SUMMARY: Final = Code("111017", "DCM", "CAD Processing and Findings Summary")
THRESHOLD: Final = _own("AI.THRESHOLD", "Decision threshold")
DECISION: Final = _own("AI.DECISION", "AI decision")
TRIAGE_CATEGORY: Final = _own("TRIAGE", "AI triage category")
NOT_ASSESSED_BECAUSE: Final = _own("REFUSAL", "Not assessed because")
READER_VERDICT: Final = _own("READER", "Radiologist's verdict")


def refusal(reason: str) -> Code:
    """The code of a machine-readable reason, such as missing_slices."""
    return _own(f"REF.{reason.upper()}"[:16], reason.replace("_", " ").capitalize()[:64])
