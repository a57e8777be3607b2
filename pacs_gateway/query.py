"""Ask a PACS for studies, count them, have them sent: C-FIND, C-MOVE and C-GET as a user. PS3.4 annex C."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    EnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    XRayRadiationDoseSRStorage,
)

from pacs_gateway.negotiation import TRANSFER_SYNTAXES
from pacs_gateway.peers import CALLING_AE, Peer, associate, finish
from pacs_gateway.reactor import reactor_held
from pacs_gateway.thai import repair_date

PENDING = frozenset({0xFF00, 0xFF01})
"""PS3.4 table C.4-1."""
MOST_STUDIES = 200
STORED_BY_GET = (
    CTImageStorage,
    EnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

_moving: dict[tuple[str, int], threading.Lock] = defaultdict(threading.Lock)


class QueryRefused(ValueError):
    """The peer answered with a failure status; the text holds it."""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that a peer has."""

    study_instance_uid: str
    study_date: date | None
    description: str
    modalities: tuple[str, ...]
    instances: int | None
    """As the peer counts them; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of a study that was asked for."""

    completed: int
    failed: int
    warned: int


def find_studies(
    peer: Peer,
    *,
    patient_id: str,
    issuer: str = "",
    modality: str = "CT",
    calling_ae: str = CALLING_AE,
    timeout_seconds: float = 30.0,
) -> list[FoundStudy]:
    """Studies of one patient, newest first.

    Raises:
        ValueError: no patient, or one with wildcards: that would ask for everybody.
        PeerUnreachable, QueryRefused: the peer does not answer, or not with success.
    """
    if not patient_id.strip() or any(letter in patient_id for letter in "*?\\"):
        raise ValueError("a query needs the whole patient ID, without wildcards")
    asked = _study_level(PatientID=patient_id, ModalitiesInStudy=modality, StudyInstanceUID="")
    for keyword in ("StudyDate", "StudyDescription", "NumberOfStudyRelatedInstances"):
        setattr(asked, keyword, None if keyword.startswith("Number") else "")
    if issuer:
        asked.IssuerOfPatientID = issuer
    found = []
    for answer in _find(peer, asked, calling_ae, timeout_seconds):
        # a peer may ignore a key that it does not know; another patient must not slip in
        if str(answer.get("PatientID", patient_id)).strip() == patient_id.strip():
            found.append(_found(answer))
        if len(found) >= MOST_STUDIES:
            break
    chosen = [study for study in found if not study.modalities or modality in study.modalities]
    return sorted(chosen, key=lambda study: study.study_date or date.min, reverse=True)


def count_instances(
    peer: Peer, study_instance_uid: str, *, calling_ae: str = CALLING_AE, timeout_seconds: float = 10.0
) -> int | None:
    """How many instances the peer has of a study: as it says, else by counting them; None for none of it.

    Raises:
        PeerUnreachable, QueryRefused: the peer does not answer, or not with success.
    """
    asked = _study_level(StudyInstanceUID=study_instance_uid, NumberOfStudyRelatedInstances=None)
    answers = list(_find(peer, asked, calling_ae, timeout_seconds))
    if not answers:
        return None
    if (said := answers[0].get("NumberOfStudyRelatedInstances")) is not None:
        return int(said)
    series = _study_level("SERIES", StudyInstanceUID=study_instance_uid, SeriesInstanceUID="")
    series.NumberOfSeriesRelatedInstances = None
    total = 0
    for each in list(_find(peer, series, calling_ae, timeout_seconds)):
        said = each.get("NumberOfSeriesRelatedInstances")
        total += _count_images(peer, each, calling_ae, timeout_seconds) if said is None else int(said)
    return total


def _count_images(peer: Peer, series: Dataset, calling_ae: str, seconds: float) -> int:
    uids = {"StudyInstanceUID": series.StudyInstanceUID, "SeriesInstanceUID": series.SeriesInstanceUID}
    images = _study_level("IMAGE", **uids, SOPInstanceUID="")
    return len({str(each.SOPInstanceUID) for each in _find(peer, images, calling_ae, seconds)})


def move_study(
    peer: Peer,
    study_instance_uid: str,
    *,
    to_ae: str,
    calling_ae: str = CALLING_AE,
    timeout_seconds: float = 300.0,
) -> Transfer:
    """Have a study sent to an application entity that the peer knows, such as our listener.

    One at a time for each peer: a PACS serves its own readers first.

    Raises:
        PeerUnreachable, QueryRefused: nothing was sent, or the peer does not know the destination (A801).
    """
    asked = _study_level(StudyInstanceUID=study_instance_uid)
    context = StudyRootQueryRetrieveInformationModelMove
    with _moving[peer.host, peer.port]:
        association, connection = associate(peer, calling_ae, [(context, "")], timeout_seconds)
        try:
            with reactor_held(association):
                return _transferred(association.send_c_move(asked, to_ae, context), peer)
        finally:
            finish(association, connection)


def get_study(
    peer: Peer,
    study_instance_uid: str,
    keep: Callable[[bytes], bool],
    *,
    calling_ae: str = CALLING_AE,
    timeout_seconds: float = 300.0,
) -> Transfer:
    """Fetch a study over the association that asks for it: through firewalls that let nobody call us.

    Args:
        keep: takes each instance as the bytes of a Part 10 file, and says whether it is durable.

    Raises:
        PeerUnreachable, QueryRefused: nothing was sent.
    """

    def store(event: evt.Event) -> int:
        return 0x0000 if keep(event.encoded_dataset()) else 0xA700

    context = StudyRootQueryRetrieveInformationModelGet
    contexts = [(context, ""), *((uid, syntax) for uid in STORED_BY_GET for syntax in TRANSFER_SYNTAXES[:8])]
    roles = [build_role(uid, scp_role=True) for uid in STORED_BY_GET]
    with _moving[peer.host, peer.port]:
        association, connection = associate(
            peer, calling_ae, contexts, timeout_seconds, roles=roles, handlers=[(evt.EVT_C_STORE, store)]
        )
        try:
            with reactor_held(association):
                asked = _study_level(StudyInstanceUID=study_instance_uid)
                return _transferred(association.send_c_get(asked, context), peer)
        finally:
            finish(association, connection)


def _find(peer: Peer, asked: Dataset, calling_ae: str, seconds: float) -> Iterator[Dataset]:
    context = StudyRootQueryRetrieveInformationModelFind
    contexts = [(context, ExplicitVRLittleEndian)]
    association, connection = associate(peer, calling_ae, contexts, seconds)
    try:
        with reactor_held(association):
            yield from _answers(association, asked, context, peer)
    finally:
        finish(association, connection)


def _answers(association: Association, asked: Dataset, context: UID, peer: Peer) -> Iterator[Dataset]:
    for status, answer in association.send_c_find(asked, context):
        number = _checked(status, peer)
        if number in PENDING and answer is not None:
            yield answer


def _transferred(answers: Iterator[tuple[Dataset, Dataset | None]], peer: Peer) -> Transfer:
    counts = Transfer(0, 0, 0)
    for status, _ in answers:
        names = ("Completed", "Failed", "Warning")
        said = [getattr(status, f"NumberOf{name}Suboperations", None) for name in names]
        if said[0] is not None:
            counts = Transfer(*(int(each or 0) for each in said))
        number = _checked(status, peer, partly=True)
        if number not in PENDING:
            break
    return counts


def _checked(status: Dataset, peer: Peer, *, partly: bool = False) -> int:
    """The status, unless it is a failure; `partly` lets B000 pass: sub-operations that failed are counted."""
    number = getattr(status, "Status", None)
    if number in (0x0000, *PENDING) or (partly and number == 0xB000):
        return int(number)
    said = "no answer" if number is None else f"status {number:04X}"
    raise QueryRefused(f"{peer} answers the query with {said} {status.get('ErrorComment', '')}".strip())


def _study_level(level: str = "STUDY", **keys: Any) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def _found(answer: Dataset) -> FoundStudy:
    modalities = answer.get("ModalitiesInStudy") or ()
    counted = answer.get("NumberOfStudyRelatedInstances")
    return FoundStudy(
        study_instance_uid=str(answer.StudyInstanceUID),
        study_date=repair_date(str(answer.get("StudyDate", "")))[0],
        description=str(answer.get("StudyDescription", "")),
        modalities=(modalities,) if isinstance(modalities, str) else tuple(modalities),
        instances=None if counted is None else int(counted),
    )
