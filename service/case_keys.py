"""Keys that join one patient's cases without naming the patient: HMACs of HN, citizen id, and likeness."""

import hmac
from hashlib import sha256
from pathlib import Path

from pacs_gateway.pseudonyms import BadKey, Key, make_key, read_key
from service.errors import BadRequest
from service.settings import Settings
from service.studies import Study


def open_research_key(settings: Settings) -> Key:
    """The secret behind every pseudonym of a case; made on first use.

    Raises:
        BadKey: it cannot be read or made.
    """
    path = research_key_file(settings)
    if path.exists():
        return read_key(path)
    try:
        return make_key(path)
    except BadKey:
        return read_key(path)  # another process was quicker


def research_key_file(settings: Settings) -> Path:
    """Where that secret is kept."""
    return Path(settings.research_key) if settings.research_key else settings.data / "research.key"


def patient_keys(study: Study, key: Key) -> dict[str, str]:
    """`patient_key` of hospital and HN; `likeness_key` of name, birth date and sex where all are known."""
    known = study.patient_name and study.birth_date and study.sex
    name = "".join(study.patient_name.casefold().split("^"))
    like = "\0".join(("likeness", "".join(name.split()), str(study.birth_date), study.sex.upper()))
    number = study.patient_id or study.study_instance_uid
    return {
        "patient_key": _hmac(key, "\0".join(("case", study.hcode or "", number))),
        "likeness_key": _hmac(key, like) if known else "",
    }


def citizen_key(key: Key, citizen_id: str) -> str:
    """The key of a citizen id; empty for none.

    Raises:
        BadRequest: it has not 13 digits that check.
    """
    digits = "".join(citizen_id.split()).replace("-", "")
    if not digits:
        return ""
    if not (len(digits) == 13 and digits.isascii() and digits.isdigit() and _checks(digits)):
        raise BadRequest("a citizen id has 13 digits, the last of which checks the others; this one does not")
    return _hmac(key, f"citizen\0{digits}")


def _checks(digits: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(13, 1, -1), strict=False))
    return (11 - total % 11) % 10 == int(digits[-1])


def _hmac(key: Key, text: str) -> str:
    return hmac.new(key.secret, text.encode("utf-8", "surrogateescape"), sha256).hexdigest()
