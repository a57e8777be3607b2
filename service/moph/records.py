"""The records of one referral: REFER_HISTORY, CLINICAL_, CARE_ and INVESTIGATION_REFER, REFER_RESULT.

Plain functions from values to values. CARE_REFER has what the doctor ticked; nothing is read out of prose.
Standards 3.4.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from service.moph.refers import Ptypedis, Refer
from service.referral_details import Care
from service.referral_states import Reason, ReferralState

Value = str | int | float | datetime | None
"""None and "" are what nobody knows."""
Record = Mapping[str, Value]

EMERGENCY_PATIENT, ACCIDENT_PATIENT, GENERAL_PATIENT = "3", "2", "1"
"""PTYPE."""
DIAGNOSE_AND_TREAT, SEND_BACK = "1", "6"
"""CAUSEOUT."""
ACCEPTED, REFUSED, DIED_IN_TRANSIT, NOT_FOUND, OTHER = "1", "2", "3", "4", "5"
"""REFER_RESULT."""

CARETYPE: Final[Mapping[Care, str]] = {
    Care.AIRWAY: "1",
    Care.BREATHING: "2",
    Care.IV_LINE: "3",
    Care.BLEEDING: "4",
    Care.SPLINT: "5",
    Care.OTHER: "6",
}

GLUCOSE, INR, PLATELETS, HEAD_CT = "2339-0", "6301-6", "777-3", "24725-4"
"""LOINC: glucose in blood (mass), INR, platelets in blood (number), CT of the head."""
HEAD_CT_ICD9 = "8703"
"""ICD-9-CM 87.03, computerized axial tomography of head, without its dot."""

RESULT_OF: Final[Mapping[ReferralState, str]] = {
    ReferralState.ACCEPTED: ACCEPTED,
    ReferralState.DEPARTED: ACCEPTED,
    ReferralState.ARRIVED: ACCEPTED,
    ReferralState.COMPLETED: ACCEPTED,
    ReferralState.REJECTED: REFUSED,
    ReferralState.CANCELLED: OTHER,
    ReferralState.FAILED: OTHER,
}
"""States that the receiving side has something to say of; before them there is no REFER_RESULT."""
FAILED_AS: Final[Mapping[Reason | None, str]] = {
    Reason.DIED_IN_TRANSIT: DIED_IN_TRANSIT,
    Reason.DID_NOT_ARRIVE: NOT_FOUND,
}


def refer_history(refer: Refer) -> Record:
    """The referral as the sending hospital sends it.

    SEQ, AN, DATETIME_ADMIT, CLINIC_REFER and PROVIDER are numbers of the hospital's own system that the hub
    never hears of; CHIEFCOMP, PH and FH are not asked for apart: they are empty.
    """
    told = refer.details
    measured = ", ".join(f"{name} {value}" for name, value in refer.findings)
    return {
        **_key(refer),
        "PID": refer.hn,
        "SEQ": "",
        "AN": "",
        "CID": told.citizen_id,
        "REFERID_ORIGIN": refer.origin.referid if refer.origin else "",
        "HOSPCODE_ORIGIN": refer.origin.hospcode if refer.origin else "",
        "DATETIME_SERV": refer.served_at,
        "DATETIME_ADMIT": None,
        "DATETIME_REFER": refer.referred_at,
        "CLINIC_REFER": "",
        "HOSP_DESTINATION": refer.destination,
        "CHIEFCOMP": "",
        "PI": told.history,
        "PH": "",
        "FH": "",
        "PHYSICALEXAM": measured,
        "DIAGFIRST": told.diagnosis,
        "DIAGLAST": refer.icd10 or told.diagnosis,
        "PSTATUS": measured,
        "PTYPE": _ptype(refer),
        "EMERGENCY": str(refer.urgency),
        "PTYPEDIS": refer.disease_group.value if refer.disease_group else "",
        "CAUSEOUT": SEND_BACK if refer.sends_back else DIAGNOSE_AND_TREAT,
        "REQUEST": told.request,
        "PROVIDER": "",
        "D_UPDATE": refer.updated_at,
    }


def clinical_refer(refer: Refer) -> list[Record]:
    """One row a finding, as it was when the patient was referred; its CLINICALCODE is not known."""
    return [
        {
            **_key(refer),
            "DATETIME_ASSESS": refer.referred_at,
            "CLINICALCODE": "",
            "CLINICALNAME": name,
            "CLINICALVALUE": value,
            "CLINICALRESULT": "",
            "D_UPDATE": refer.updated_at,
        }
        for name, value in refer.findings
    ]


def care_refer(refer: Refer) -> list[Record]:
    """One row a kind of care given before the patient left; none where nothing was ticked."""
    return [
        {**_key(refer), "CARETYPE": CARETYPE[each], "D_UPDATE": refer.updated_at}
        for each in refer.details.care
    ]


def investigation_refer(refer: Refer) -> list[Record]:
    """The head CT, with a radiologist's report if there is one, and what was told of the blood.

    When blood was drawn is not told, so it is not said. What the AI found is no investigation's result.
    """
    told = refer.details
    blood = (
        (GLUCOSE, "Glucose", told.glucose, "mg/dL"),
        (INR, "INR", told.inr, ""),
        (PLATELETS, "Platelet count", told.platelets, "/uL"),
    )
    rows: list[Record] = []
    if refer.ct is not None:
        rows.append(
            _investigation(refer, refer.ct.at, refer.ct.name)
            | {
                "LOINC": HEAD_CT,
                "ICDCM": HEAD_CT_ICD9,
                "DATETIME_REPORT": refer.ct.reported_at,
                "INVESTRESULT": refer.ct.report,
            }
        )
    rows += [
        _investigation(refer, None, name)
        | {"INVESTTYPE": "LAB", "LOINC": code, "INVESTVALUE": value, "UNIT": unit}
        for code, name, value, unit in blood
        if value is not None
    ]
    return rows


def refer_result(refer: Refer) -> Record | None:
    """What the receiving hospital answers; None before it has."""
    outcome = refer.outcome
    if (result := RESULT_OF.get(outcome.state)) is None:
        return None
    if outcome.state is ReferralState.FAILED:
        result = FAILED_AS.get(outcome.reason, result)
    return {
        "HOSPCODE": refer.destination,
        "REFERID_SOURCE": refer.referid,
        "REFERID_PROVINCE": refer.referid_province,
        "HOSP_SOURCE": refer.hospcode,
        "REFER_RESULT": result,
        "DATETIME_REFER": refer.referred_at,
        "DATETIME_IN": outcome.arrived_at,
        "PID_IN": outcome.hn,
        "SEQ_IN": "",
        "AN_IN": "",
        # a hospital that did not take the patient does not keep who it was
        "CID_IN": refer.details.citizen_id if result == ACCEPTED else "",
        "REASON": outcome.words,
        "detail": "",
        "reply_date": outcome.replied_at,
        "reply_diagnostic": "",
        "reply_recommend": outcome.reply,
        "D_UPDATE": refer.updated_at,
    }


def _key(refer: Refer) -> dict[str, Value]:
    return {
        "HOSPCODE": refer.hospcode,
        "REFERID": refer.referid,
        "REFERID_PROVINCE": refer.referid_province,
    }


def _ptype(refer: Refer) -> str:
    if refer.disease_group is Ptypedis.TRAUMA:
        return ACCIDENT_PATIENT
    return EMERGENCY_PATIENT if refer.urgency <= 2 else GENERAL_PATIENT


def _investigation(refer: Refer, at: datetime | None, name: str) -> dict[str, Value]:
    return {
        **_key(refer),
        "PID": refer.hn,
        "SEQ": "",
        "AN": "",
        "DATETIME_INVEST": at,
        "INVESTTYPE": "",
        "INVESTCODE": "",
        "LOCALCODE": "",
        "ICDCM": "",
        "LOINC": "",
        "INVESTNAME": name,
        "DATETIME_REPORT": None,
        "INVESTVALUE": None,
        "UNIT": "",
        "INVESTRESULT": "",
        "D_UPDATE": refer.updated_at,
    }
