"""The DICOM conformance statement, put together from the code that negotiates. PS3.2."""

from collections.abc import Iterable, Sequence
from inspect import signature

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID

from pacs_gateway import negotiation, status
from pacs_gateway.frames import MEDIA_TYPES
from pacs_gateway.listener import Listener
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.query import STORED_BY_GET
from pacs_gateway.storage_classes import is_storage
from pacs_gateway.tls import CIPHERS
from pacs_gateway.upper_layer import MAX_PDU
from service.api import capabilities, drawings, qido, stow, wado
from service.settings import Settings

MADE = (
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.11.1",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.104.1",
)
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2."
UNDECODED = frozenset({*negotiation.JPEG_XL, negotiation.DEFLATED_IMAGE_FRAME})
MEANINGS = {
    "SUCCESS": "the instance is on disk and indexed; also for one that is already there",
    "PROCESSING_FAILURE": "the hub failed; its log says why",
    "DUPLICATE_INSTANCE": "commitment, MPPS: the UID is already in use",
    "NO_SUCH_INSTANCE": "commitment, MPPS: not here",
    "INVALID_ARGUMENT": "commitment, MPPS: a value is missing or wrong",
    "SOP_CLASS_NOT_SUPPORTED": "not a storage SOP class",
    "UNRECOGNISED_OPERATION": "a command that the context does not have",
    "RESOURCE_LIMITATION": "commitment: too many at once",
    "OUT_OF_RESOURCES": "too little disk, or an instance over the limit; nothing is kept",
    "DATA_SET_MISMATCH": "SOP class or instance differ from the command's; kept in quarantine",
    "CANNOT_UNDERSTAND": "not readable to its end; kept in quarantine",
    "OTHER_STUDY": "STOW-RS: of another study than the address names",
}


def conformance_statement() -> str:
    """The whole statement as Markdown; the same from every machine."""
    sections = (
        _overview,
        _networking,
        _storage,
        _other_classes,
        _made,
        _statuses,
        _web,
        _charsets,
        _security,
    )
    return "\n".join(section().strip("\n") + "\n" for section in sections)


def _overview() -> str:
    return f"""
# DICOM conformance statement

Imaging Hub. This page is written by `hub conformance` from the code that negotiates; a test holds it to that.

## 1 Overview

The hub receives CT studies from hospitals, keeps them as sent, adds its own objects and sends them on.

| service | user (SCU) | provider (SCP) |
|---|---|---|
| Verification | yes | yes |
| Storage, every storage SOP class | yes | yes |
| Storage Commitment Push Model | yes | yes |
| Modality Performed Procedure Step, Instance Availability Notification | no | yes |
| Study Root Query/Retrieve: FIND, MOVE, GET | yes | no |
| STOW-RS, QIDO-RS, WADO-RS | no | yes |

Media interchange: none. Implementation Class UID {IMPLEMENTATION_CLASS_UID}, version name
{IMPLEMENTATION_VERSION_NAME}.
"""


def _networking() -> str:
    default = Settings()
    return f"""
## 2 Networking

Application entity {default.ae_title} (`HUB_AE_TITLE`); IMAGINGHUBTEST beside it takes test pushes that
reach no worklist. TCP port {default.dicom_port} plain and {default.dicom_tls_port} with TLS; both
configurable. Callers are listed by AE title with address or certificate; others are rejected (result 1,
source 1, reason 3), as is an unknown called AE title (reason 7). Application context 1.2.840.10008.3.1.1.1.
Largest PDU received: {MAX_PDU}. Asynchronous operations: none (1, 1). SCP/SCU role selection is answered for
storage commitment and offered for GET. {_most_associations()} associations may be open at once in each
process of the listener (`HUB_LISTENER_PROCESSES`); more are rejected as a passing local limit. Instances of
one study may come over several, in any order, more than once.
"""


def _most_associations() -> int:
    most: int = signature(Listener).parameters["max_associations"].default
    return most


def _storage() -> str:
    known = sorted(
        (entry[0], uid)
        for uid, entry in UID_dictionary.items()
        if entry[0] and not entry[3] and is_storage(uid)
    )
    return f"""
## 3 Storage (SCP)

Every SOP class that the standard calls storage is accepted, retired and private ones included, because a
refused topogram or dose report makes some PACS fail the whole study. Level 2 (full): instances are kept
as the bytes that came; nothing is coerced in the file. Success is answered after fsync and indexing.

### 3.1 Transfer syntaxes, in the order in which the acceptor chooses

| transfer syntax | UID | pixels decoded |
|---|---|---|
{_rows((UID(uid).name, uid, _decoded(uid)) for uid in negotiation.TRANSFER_SYNTAXES)}

### 3.2 SOP classes of the standard ({len(known)})

| SOP class | UID |
|---|---|
{_rows(known)}
"""


def _other_classes() -> str:
    syntaxes = ", ".join(UID(uid).name for uid in negotiation.NOTICE_SYNTAXES)
    providers = (
        (negotiation.COMMITMENT, "N-ACTION; N-EVENT-REPORT on a new association, repeated until answered"),
        (negotiation.MPPS, "N-CREATE, N-SET; a hint that a study is complete"),
        (negotiation.IAN, "N-CREATE; likewise"),
    )
    users = (f"{STUDY_ROOT}{n}" for n in (1, 2, 3))
    return f"""
## 4 Other DIMSE services

Provider, in {syntaxes}:

| SOP class | UID | operations |
|---|---|---|
{_rows((UID(uid).name, uid, what) for uid, what in providers)}

User:

| SOP class | UID |
|---|---|
{_rows((UID(uid).name, uid) for uid in (*users, negotiation.COMMITMENT))}

Storage by GET in the SCP role: {", ".join(sorted(UID(uid).name for uid in STORED_BY_GET))}.
"""


def _made() -> str:
    return f"""
## 5 Objects that the hub makes

In {UID("1.2.840.10008.1.2.1").name}, in the patient's study, with UIDs that follow from the result; each
says that it is for research and not verified.

| SOP class | UID |
|---|---|
{_rows((UID(uid).name, uid) for uid in MADE)}
"""


def _statuses() -> str:
    values = (
        (f"{getattr(status, name):04X}", name.replace("_", " ").lower(), meaning)
        for name, meaning in MEANINGS.items()
    )
    return f"""
## 6 Statuses and failure reasons

| value | name | when |
|---|---|---|
{_rows(values)}
"""


def _web() -> str:
    resources = [
        row for part in (stow, qido, wado, drawings, capabilities) for row in _resources(part.router)
    ]
    frames = sorted((UID(uid).name, uid, media) for uid, media in MEDIA_TYPES.items())
    return f"""
## 7 DICOMweb (PS3.18)

Bearer tokens; an account sees its own hospital's studies, or the region. Roles without identity get no
patient attributes and no whole instances. Errors are problem JSON (RFC 9457).

| request | address | what |
|---|---|---|
{_rows(resources)}

- **STOW-RS** takes `multipart/related; type="application/dicom"` and `application/dicom`; answers
  `application/dicom+json`. 200 all kept, 202 some kept, 400, 406, 409 none kept, 413 too large, 415, 503
  no room. `multipart/related; type="application/dicom+json"` holds the metadata of one or several instances,
  at most 64 MiB, and a part for each BulkDataURI, named by Content-Location: pixels as
  `application/octet-stream` (little endian) or, compressed, as a media type of the table below, frame by
  frame. They are kept when the body has ended, in UTF-8. Metadata in XML: 415.
- **QIDO-RS** answers `application/dicom+json`, 204 when nothing matches. Keywords or tags, wildcards `*`
  and `?`, date ranges, lists of UIDs, `includefield`, `limit`, `offset`; Warning 299 when more is left.
  `fuzzymatching` is answered by literal matching and Warning 299. Names match in any component group, so
  Thai is found where it stands.
- **WADO-RS** sends as stored for `transfer-syntax=*`, else Explicit VR Little Endian; metadata as
  `application/dicom+json`.

Frames as stored:

| transfer syntax | UID | media type |
|---|---|---|
{_rows(frames)}
"""


def _charsets() -> str:
    return """
## 8 Character sets

Received: every defined term; files are never re-encoded. For search and display Thai is read as strict
UTF-8, else cp874, else as declared, so that names sent without a character set, or with a wrong one, are
found; repairs are listed with the study. Made and sent: ISO_IR 192.
"""


def _security() -> str:
    return f"""
## 9 Security

BCP 195 (RFC 8996, RFC 9325) TLS profile of PS3.15: TLS 1.2 or newer, both sides with certificates, each
mapped to its callers. Cipher suites of TLS 1.2: {", ".join(CIPHERS.split(":"))}. Every access to a
patient is in an audit trail whose rows are sealed by a chain of hashes. De-identification for research
follows PS3.15 annex E (`hub deidentify`). Who reads a case for research has QIDO-RS and WADO-RS (metadata,
frames) of its de-identified copy alone, at /api/v1/labels/NUMBER/dicomweb.
"""


def _resources(router: APIRouter) -> Iterable[Sequence[str]]:
    for route in router.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            line = (route.endpoint.__doc__ or "").strip().partition("\n")[0]
            for method in sorted(route.methods or ()):
                yield method, f"`{route.path}`", line


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _decoded(uid: str) -> str:
    return "no, kept only" if uid in UNDECODED else "yes"


SECTIONS = (_overview, _networking, _storage, _other_classes, _made, _statuses, _web, _charsets, _security)
