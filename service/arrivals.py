"""An arrived study as the columns of a row: what the gateway read, made safe for any database."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pacs_gateway.arrivals import ArrivedStudy, ReceivedInstance
    from pacs_gateway.callers import Sender


PORTAL = "(portal upload)"
"""Stands where a PACS names itself, for what people bring through the portal."""


def by_portal(senders: "Iterable[Sender]") -> bool:
    """Whether all of a study came through the portal: a case from the archive, no patient at the door."""
    return all(each.calling_ae == PORTAL for each in senders)


def clean(text: str) -> str:
    """Text as every database takes it: no NUL, no half characters; DICOM headers hold both."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def study_columns(arrived: "ArrivedStudy") -> dict[str, Any]:
    """Identity, counts and completion of an arrived study, by the names of `Study`'s columns."""
    identity = arrived.identity
    return {
        "patient_id": clean(identity.patient_id),
        "patient_name": clean(identity.patient_name),
        "birth_date": identity.birth_date,
        "sex": clean(identity.sex),
        "age_years": identity.age_years,
        "accession_number": clean(identity.accession_number),
        "study_date": identity.study_date,
        "study_description": clean(identity.study_description),
        "modality": _usual_modality(arrived.instances),
        "repairs": [clean(each) for each in identity.repairs],
        "digest": arrived.digest,
        "instances": len(arrived.instances),
        "duplicates": arrived.duplicates,
        "conflicts": arrived.conflicts,
        "completion_code": clean(str(arrived.completion.code))[:60],
        "completion_text": clean(arrived.completion.text),
        "last_received_at": arrived.last_received_at,
    }


def _usual_modality(instances: "Iterable[ReceivedInstance]") -> str:
    usual = Counter(clean(each.header.modality) for each in instances).most_common(1)
    return usual[0][0] if usual else ""
