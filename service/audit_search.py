"""Searching the audit by person, patient, hospital, kind and time; newest first.

An entry that lists many studies names them in its detail: whoever had a patient in a worklist has seen them
too. What the rows' indexes cannot say is compared here, entry by entry, within the time that is asked for.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from sqlalchemy import ColumnElement, Select, Text, cast, or_, select
from sqlalchemy.orm import Session

from service.accounts import Account
from service.arrivals import clean
from service.audit import AuditEntry, Detail
from service.errors import BadRequest
from service.hospitals import find_hospital
from service.studies import Study

MOST_STUDIES: Final = 200
"""Of one patient; a number that more studies have is no patient's."""
LONGEST_TABLE: Final = 50_000
FAMILIES: Final = (
    "account",
    "alert",
    "audit",
    "caller",
    "case",
    "certificate",
    "clock",
    "console",
    "consult",
    "contact",
    "data_set",
    "delivery",
    "destination",
    "dicomweb",
    "disagreement",
    "discordant",
    "fhir",
    "form",
    "hospital",
    "instances",
    "job",
    "key_slice",
    "label",
    "letter",
    "model",
    "moph",
    "neighbour",
    "package",
    "peer",
    "priors",
    "receipts",
    "referral",
    "reply",
    "report",
    "result",
    "review",
    "selftests",
    "session",
    "share",
    "shift",
    "stroke_sheet",
    "study",
    "subscription",
    "timeline",
    "token",
    "upload",
    "worklist",
)
"""First words of actions, in alphabetical order; each has a name in the pages' texts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; what is empty narrows nothing."""

    actor: str = ""
    studies: frozenset[int] | None = None
    """Of one patient; None where none was named."""
    hcode: str = ""
    """A hospital: of the patient, of who acted, or named in the entry."""
    family: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def told(self) -> Detail:
        """What the audit says of the search itself."""
        names = ("actor", "hcode", "family", "since", "until")
        by = [name for name in names if getattr(self, name)] + ["patient"] * (self.studies is not None)
        return {"by": ",".join(by), "studies": sorted(self.studies or ())}


def studies_of_hn(session: Session, hn: str, hcode: str) -> frozenset[int]:
    """The studies of the patient with this number, in every hospital where none is named.

    Raises:
        BadRequest: more studies have it than one patient can.
    """
    query = select(Study.id).where(Study.patient_id == clean(hn))
    if hcode:
        query = query.where(Study.hcode == hcode)
    found = session.scalars(query.limit(MOST_STUDIES + 1)).all()
    if len(found) > MOST_STUDIES:
        raise BadRequest(f"more than {MOST_STUDIES} studies have this HN; choose the hospital")
    return frozenset(found)


def search_audit(
    session: Session, wanted: Wanted, *, before: int | None = None, limit: int = 100
) -> list[AuditEntry]:
    """Entries, newest first; `before` is the number of the last one seen.

    Raises:
        NotFound: no such hospital.
    """
    if wanted.hcode:
        find_hospital(session, wanted.hcode)
    if wanted.studies is not None and not wanted.studies:
        return []
    query = _narrowed(wanted, before).execution_options(yield_per=500)
    with closing(session.scalars(query)) as entries:
        return list(islice((each for each in entries if _fits(each, wanted)), limit))


def _narrowed(wanted: Wanted, before: int | None) -> Select[AuditEntry]:
    query = select(AuditEntry).order_by(AuditEntry.id.desc())
    if wanted.actor:
        query = query.where(AuditEntry.actor == clean(wanted.actor))
    if wanted.family:
        query = query.where(AuditEntry.action.startswith(f"{wanted.family}.", autoescape=True))
    if wanted.since is not None:
        query = query.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.at < wanted.until)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if wanted.studies is not None:
        named = [_may_name(str(each)) for each in wanted.studies]
        query = query.where(or_(AuditEntry.study_id.in_(wanted.studies), *named))
    elif wanted.hcode:
        query = query.where(or_(_of_hospital(wanted.hcode), _may_name(f'"{wanted.hcode}"')))
    return query


def _of_hospital(hcode: str) -> ColumnElement[bool]:
    """By whose patient it is, or by where the person works."""
    patients = select(Study.id).where(Study.hcode == hcode)
    people = select(Account.username).where(Account.hcode == hcode)
    return or_(AuditEntry.study_id.in_(patients), AuditEntry.actor.in_(people))


def _may_name(text: str) -> ColumnElement[bool]:
    return cast(AuditEntry.detail, Text).contains(text, autoescape=True)


def _fits(entry: AuditEntry, wanted: Wanted) -> bool:
    """Of a patient: it is about one of their studies, or lists it; a number elsewhere in it means nothing."""
    if wanted.studies is None:
        return True
    listed = entry.detail.get("studies")
    return entry.study_id in wanted.studies or (
        isinstance(listed, list) and not wanted.studies.isdisjoint(listed)
    )
