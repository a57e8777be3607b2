"""Self-tests: what a vendor's trial of the link showed, check by check, and what to change."""

import csv
import io
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from pydicom.uid import UID

from pacs_gateway.arrivals import Ending
from pacs_gateway.trials import Trial, TrialInbox
from pacs_gateway.verdict import Wholeness, verdict_of
from service.accounts import Viewer
from service.errors import NotFound
from service.spreadsheets import harmless

LOSSY = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in ("50", "51", "81", "91", "93", "112", "203"))
UNDECODABLE = frozenset({"1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111"})
FEWEST_TO_TIME = 10
SLOWEST_IMAGES = 5.0
"""Images a second; a study of 300 slices in a minute."""
CHARSETS = {"cp874": "ISO_IR 166 (TIS-620)", "utf-8": "ISO_IR 192 (UTF-8)"}
COLUMNS = (
    "number",
    "calling_ae",
    "hospital",
    "opened_at",
    "study_instance_uid",
    "outcome",
    "check",
    "status",
)


class Status(StrEnum):
    """How a check ended, best first."""

    PASS = "pass"
    NOT_TESTED = "not_tested"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    status: Status
    values: Mapping[str, object]

    def said(self, language: str) -> str:
        """The sentence of this status, `language` th or en."""
        return str(sentences()[self.name][self.status][language]).format(**self.values)

    def title(self, language: str) -> str:
        """What the check is called."""
        return str(sentences()[self.name]["name"][language])


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A trial with its checks."""

    trial: Trial
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Status:
        """The worst of the checks; what was not tested counts as passed."""
        found = {check.status for check in self.checks}
        return next((bad for bad in (Status.FAIL, Status.WARN) if bad in found), Status.PASS)


@cache
def sentences() -> dict[str, Any]:
    """Every sentence by check, status and language."""
    return tomllib.loads((files("service") / "data" / "selftest.toml").read_text("utf-8"))


def self_tests(inbox: TrialInbox, viewer: Viewer, *, limit: int = 100) -> list[SelfTest]:
    """Trials of the last day, newest first, of the viewer's own hospital or of the region."""
    if not viewer.sees_region and viewer.hcode is None:
        return []
    trials = inbox.trials(hcode=None if viewer.sees_region else viewer.hcode, limit=limit)
    return [judge(trial) for trial in trials]


def find_self_test(inbox: TrialInbox, viewer: Viewer, number: int) -> SelfTest:
    """One of them.

    Raises:
        NotFound: none with this number, or of another hospital.
    """
    for found in self_tests(inbox, viewer, limit=1000):
        if found.trial.number == number:
            return found
    raise NotFound(f"no self-test {number} in the last 24 hours")


def judge(trial: Trial) -> SelfTest:
    """Look at everything that one trial tells."""
    return SelfTest(trial, tuple(_checks(trial)))


def _checks(trial: Trial) -> Iterator[Check]:
    yield _caller(trial)
    by_association = bool(trial.offer)  # what came by STOW-RS offers none
    if by_association or Ending.REFUSED in trial.endings:
        yield _tls(trial)
    if Ending.REFUSED in trial.endings:
        return  # nothing more can be known
    if by_association:
        yield _contexts(trial)
    yield _delivery(trial)
    if trial.headers:
        yield _transfer_syntax(trial)
        yield _charset(trial)
        yield _identity(trial)
        yield _duplicates(trial)
        yield _geometry(trial)
        yield _speed(trial)
    if by_association:
        yield _commitment(trial)


def _caller(trial: Trial) -> Check:
    sender = trial.sender
    values = {"ae": sender.calling_ae, "hospital": sender.hcode or "", "why": "; ".join(trial.details)}
    if Ending.REFUSED in trial.endings and not values["why"].startswith("no TLS"):
        return Check("caller", Status.FAIL, values)
    return Check("caller", Status.PASS if sender.hcode else Status.WARN, values)


def _tls(trial: Trial) -> Check:
    why = "; ".join(trial.details)
    if why.startswith("no TLS"):
        return Check("tls", Status.FAIL, {"why": why})
    return Check("tls", Status.PASS if trial.sender.certificate else Status.WARN, {})


def _contexts(trial: Trial) -> Check:
    rejected = [each for each in trial.offer if not each.accepted]
    names = ", ".join(dict.fromkeys(each.name for each in rejected))
    values = {"count": len(trial.offer), "rejected": len(rejected), "names": names[:300]}
    return Check("contexts", Status.WARN if rejected else Status.PASS, values)


def _delivery(trial: Trial) -> Check:
    values: dict[str, object] = {
        "offered": trial.offered,
        "refused": trial.refused,
        "why": "; ".join(trial.reasons)[:300],
        "ending": ", ".join(ending.value for ending in trial.endings),
    }
    if trial.refused:
        return Check("delivery", Status.FAIL, values)
    if any(ending is not Ending.RELEASED for ending in trial.endings):
        return Check("delivery", Status.WARN, values)
    return Check("delivery", Status.PASS if trial.offered else Status.NOT_TESTED, values)


def _transfer_syntax(trial: Trial) -> Check:
    found = Counter(header.transfer_syntax_uid for header in trial.headers)
    values = {"syntaxes": ", ".join(f"{UID(uid).name} ({count})" for uid, count in found.most_common())}
    if found.keys() & UNDECODABLE:
        return Check("transfer_syntax", Status.FAIL, values)
    return Check("transfer_syntax", Status.WARN if found.keys() & LOSSY else Status.PASS, values)


def _charset(trial: Trial) -> Check:
    identity = trial.identity
    if identity is None or identity.charset_used == "ascii":
        return Check("charset", Status.NOT_TESTED, {})
    right = CHARSETS.get(identity.charset_used, identity.charset_used)
    values = {"declared": identity.charset_declared or "nothing", "used": right, "right": right}
    mended = any(repair.startswith("charset: PatientName") for repair in identity.repairs)
    return Check("charset", Status.WARN if mended else Status.PASS, values)


def _identity(trial: Trial) -> Check:
    identity, hospital = trial.identity, trial.sender.hcode or ""
    if identity is None or not identity.patient_id:
        return Check("identity", Status.FAIL, {})
    said, said_th = [], []
    if identity.issuer != hospital:
        seen = "another" if identity.issuer else "empty"
        said.append(f"IssuerOfPatientID (0010,0021) is {seen}; it should be the hospital code {hospital}.")
        said_th.append(f"IssuerOfPatientID (0010,0021) ควรเป็นรหัสโรงพยาบาล {hospital}")
    buddhist = [each.partition(": ")[2] for each in identity.repairs if each.startswith("buddhist_date")]
    if buddhist:
        tags = ", ".join(buddhist)
        said.append(f"{tags} in Buddhist era; the hub mended it. DICOM dates are Common Era (PS3.5 6.2).")
        said_th.append(f"{tags} เป็นปี พ.ศ. ระบบแก้ให้แล้ว วันที่ใน DICOM ต้องเป็น ค.ศ.")
    if not said:
        return Check("identity", Status.PASS, {"hospital": hospital})
    return Check("identity", Status.WARN, {"what": " ".join(said), "what_th": " ".join(said_th)})


def _duplicates(trial: Trial) -> Check:
    values: dict[str, object] = {"duplicate": trial.duplicate, "conflict": trial.conflict}
    if trial.conflict:
        return Check("duplicates", Status.FAIL, values)
    return Check("duplicates", Status.WARN if trial.duplicate else Status.PASS, values)


def _geometry(trial: Trial) -> Check:
    verdict = verdict_of(trial.headers)
    values: dict[str, object] = {
        "slices": verdict.slices,
        "spacing": f"{verdict.spacing_mm or 0:.2f}",
        "tilt": f"{verdict.tilt_deg:.1f}",
        "doubled": verdict.doubled,
    }
    if verdict.code is Wholeness.MISSING:
        missing = ", ".join(verdict.missing)
        values |= {"what": f"Slices {missing} are missing", "what_th": f"ขาดแผ่นที่ {missing}"}
        return Check("geometry", Status.FAIL, values)
    if verdict.code is Wholeness.NO_STACK:
        values["what"] = "There are no CT slices with ImagePositionPatient and ImageOrientationPatient"
        values["what_th"] = "ไม่มีแผ่น CT ที่มี ImagePositionPatient และ ImageOrientationPatient"
        return Check("geometry", Status.FAIL, values)
    return Check("geometry", Status.WARN if verdict.doubled else Status.PASS, values)


def _speed(trial: Trial) -> Check:
    if trial.offered < FEWEST_TO_TIME:
        return Check("speed", Status.NOT_TESTED, {"fewest": FEWEST_TO_TIME})
    pace = trial.offered / trial.seconds
    values = {
        "images_per_second": f"{pace:.1f}",
        "megabytes_per_second": f"{trial.megabytes / trial.seconds:.2f}",
    }
    return Check("speed", Status.PASS if pace >= SLOWEST_IMAGES else Status.WARN, values)


def _commitment(trial: Trial) -> Check:
    if not trial.commitments:
        return Check("commitment", Status.NOT_TESTED, {})
    newest = trial.commitments[0]
    values = {"committed": newest.committed, "failed": newest.failed, "why": newest.last_error}
    if newest.told_at is None:
        return Check("commitment", Status.FAIL if newest.last_error else Status.WARN, values)
    return Check("commitment", Status.WARN if newest.failed else Status.PASS, values)


def self_test_columns(found: SelfTest) -> dict[str, Any]:
    """A self-test as plain values, without any patient."""
    trial = found.trial
    return {
        "number": trial.number,
        "calling_ae": trial.sender.calling_ae,
        "address": trial.sender.address,
        "hospital": trial.sender.hcode,
        "opened_at": trial.opened_at.isoformat(),
        "closed_at": trial.closed_at.isoformat() if trial.closed_at else None,
        "study_instance_uid": trial.study_instance_uid,
        "offered": trial.offered,
        "stored": trial.stored,
        "outcome": found.outcome.value,
        "checks": [
            {
                "check": check.name,
                "status": check.status.value,
                "th": check.said("th"),
                "en": check.said("en"),
            }
            for check in found.checks
        ],
    }


def self_tests_csv(found: Sequence[SelfTest]) -> str:
    """A line for each check, as a table that a spreadsheet opens."""
    text = io.StringIO()
    writer = csv.DictWriter(text, (*COLUMNS, "check", "status", "en", "th"), extrasaction="ignore")
    writer.writeheader()
    for each in found:
        columns = self_test_columns(each)
        for check in columns["checks"]:
            writer.writerow({name: harmless(value) for name, value in (columns | check).items()})
    return text.getvalue()
