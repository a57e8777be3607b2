"""Role and Permission: what an account is for, and what each role may do."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What an account is for."""

    VENDOR = "vendor"
    TECHNICIAN = "technician"
    RADIOLOGIST = "radiologist"
    REFERRER = "referrer"
    SPECIALIST = "specialist"
    ML = "ml"
    ADMIN = "admin"


class Permission(StrEnum):
    """One kind of thing that a role may do."""

    READ_STUDIES = "read_studies"
    READ_IDENTITY = "read_identity"
    READ_RECEIPTS = "read_receipts"
    SEND_STUDIES = "send_studies"
    """Send images over HTTP, as machines do by C-STORE."""
    BRING = "bring"
    """Bring cases from the archive through the portal, whose files may name patients."""
    REVIEW = "review"
    REPROCESS = "reprocess"
    SETTLE = "settle"
    """Settle what a radiologist and the AI differ in."""
    ON_CALL = "on_call"
    """Be on call, keep the hospital's roster, and answer alerts."""
    ASK = "ask"
    """Ask another hospital about a study, and see what was asked and answered."""
    ADVISE = "advise"
    """Answer what another hospital asks."""
    REFER = "refer"
    """Send a patient to another hospital."""
    RECEIVE = "receive"
    """Answer for the hospital that a patient is sent to."""
    ADMIT_CASES = "admit_cases"
    """Offer studies of the hospital to the study of 1,000 cases, and answer for them."""
    LABEL = "label"
    """Read the cases that one was given."""
    CURATE = "curate"
    """Screen cases, give them out, watch agreement, and freeze data sets."""
    MODELS = "models"
    """Take models in, let them read in shadow and live, roll them back, and watch drift."""
    ADMINISTER = "administer"


_P = Permission
_READS = frozenset({_P.READ_STUDIES, _P.READ_IDENTITY})
_CARES = _READS | {_P.ON_CALL, _P.ASK, _P.REFER}
"""Doctors: they are called, they ask, and they send patients on."""

PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VENDOR: frozenset({_P.READ_RECEIPTS, _P.SEND_STUDIES}),
        Role.TECHNICIAN: _READS | {_P.READ_RECEIPTS, _P.SEND_STUDIES, _P.ADMIT_CASES, _P.BRING},
        Role.RADIOLOGIST: _CARES | {_P.REVIEW, _P.ADVISE, _P.REPROCESS, _P.LABEL},
        Role.REFERRER: _CARES | {_P.RECEIVE},
        Role.SPECIALIST: _CARES | {_P.REVIEW, _P.ADVISE, _P.RECEIVE, _P.LABEL},
        Role.ML: frozenset({_P.READ_STUDIES, _P.REPROCESS, _P.SETTLE, _P.ADMIT_CASES, _P.CURATE, _P.MODELS}),
        Role.ADMIN: frozenset(Permission),
    }
)

REGION_WIDE = frozenset({Role.RADIOLOGIST, Role.SPECIALIST, Role.ML, Role.ADMIN})
"""The roles that may be without a hospital, and then see the whole region."""
