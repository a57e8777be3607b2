"""Written: what a request or a transaction of another system made or changed. FHIR R4 3.1.0.7, 3.1.0.11."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from service.accounts import Viewer
from service.consults import Consult
from service.errors import Malformed
from service.fhir.consult import consult_version
from service.fhir.consult_search import told_consult
from service.fhir.consulting import ask_by_task, move_consult
from service.fhir.elements import Resource
from service.fhir.referral_search import told
from service.fhir.referring import move, refer
from service.fhir.task_search import is_consult
from service.referrals import Referral

MOST: Final = 20
"""Entries of a transaction."""


@dataclass(frozen=True, slots=True)
class Written:
    """A referral or a consult, and the resource as which it was sent."""

    status: int
    kind: str
    row: Referral | Consult

    @property
    def location(self) -> str:
        """The resource with its version, from the root."""
        letter = "r" if isinstance(self.row, Referral) else "c"
        return f"{self.kind}/{letter}{self.row.id}/_history/{self.version}"

    @property
    def version(self) -> int:
        """Of the resource as it is now."""
        return self.row.version if isinstance(self.row, Referral) else consult_version(self.row)

    @property
    def etag(self) -> str:
        """The version as a header has it."""
        return f'W/"{self.version}"'

    def resource(self, session: Session, viewer: Viewer) -> Resource:
        """As it is now."""
        if isinstance(self.row, Referral):
            return told(session, viewer, self.kind, self.row)
        return told_consult(session, viewer, self.row)


def create(session: Session, viewer: Viewer, kind: str, resource: Any) -> Written:
    """Refer by a ServiceRequest, or ask by a Task.

    Raises:
        HubError: see `referring.refer` and `consulting.ask_by_task`.
    """
    if kind == "ServiceRequest":
        return Written(201, kind, refer(session, viewer, resource))
    return Written(201, kind, ask_by_task(session, viewer, resource))


def update(session: Session, viewer: Viewer, number: str, resource: Any, *, version: int | None) -> Written:
    """Move a referral or a consult to the status of a Task.

    Raises:
        HubError: see `referring.move` and `consulting.move_consult`.
    """
    moving = move_consult if is_consult(number) else move
    return Written(200, "Task", moving(session, viewer, number, resource, version=version))


def carry_out(session: Session, viewer: Viewer, bundle: Any) -> list[Written]:
    """A transaction: all of its entries, in order, or none.

    Raises:
        Malformed: it is no transaction, or an entry is neither a POST of a ServiceRequest or a Task nor a PUT
            of a Task.
    """
    if not isinstance(bundle, dict) or (bundle.get("resourceType"), bundle.get("type")) != (
        "Bundle",
        "transaction",
    ):
        raise Malformed("a Bundle of type transaction is taken here, and nothing else")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST:
        raise Malformed(f"a transaction has 1 to {MOST} entries here")
    return [_entry(session, viewer, at, each) for at, each in enumerate(entries)]


def answers(session: Session, viewer: Viewer, done: list[Written]) -> Resource:
    """The answer to a transaction."""
    return {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [
            {
                "resource": each.resource(session, viewer),
                "response": {"status": str(each.status), "location": each.location, "etag": each.etag},
            }
            for each in done
        ],
    }


def _entry(session: Session, viewer: Viewer, at: int, entry: Any) -> Written:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise Malformed(f"Bundle.entry[{at}] has no request")
    method, url = str(request.get("method")), str(request.get("url"))
    kind, _, number = url.partition("/")
    if method == "POST" and url in ("ServiceRequest", "Task"):
        return create(session, viewer, url, entry.get("resource"))
    if (method, kind) == ("PUT", "Task") and number:
        version = read_version(str(request["ifMatch"])) if "ifMatch" in request else None
        return update(session, viewer, number, entry.get("resource"), version=version)
    raise Malformed(
        f"Bundle.entry[{at}]: only POST ServiceRequest, POST Task and PUT Task/... are carried out here"
    )


def read_version(etag: str) -> int:
    """The version that an If-Match names.

    Raises:
        Malformed: it is none of this server's.
    """
    text = etag.strip().removeprefix("W/").strip('"')
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Malformed(f'If-Match must be as the ETag was, W/"1"; not {etag[:40]!r}')
    return int(text)
