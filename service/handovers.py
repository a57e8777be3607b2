"""Handover: at acceptance images, result and letter go to the receiving hospital's PACS under its own number.

Copies are made once and put in line for each of its destinations; `couriers` sends them. A result that is
made or signed later follows. Where the hospital has no destination nothing is copied: people open the study
in the hub, or by a share link.
"""

import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pydicom import dcmwrite
from sqlalchemy import Engine, ScalarSelect, func, select
from sqlalchemy.orm import Session

from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.letter import wrap_pdf
from pacs_gateway.reconcile import Reconciled, reconcile
from pacs_gateway.results import Subject
from service import audit, peers
from service.db import after_commit, now, session_scope
from service.deliveries import Delivery, DeliveryState, Parcel, Purpose, queue_delivery, send_again
from service.failures import Failure
from service.hospital_modes import Mode, mode_of
from service.imaging import instances_of
from service.letters import referral_letter
from service.referral_states import ReferralState
from service.referrals import Referral, audit_detail
from service.result_objects import ResultObject, objects_of
from service.steps import Argument, Step
from service.storage import Storage
from service.studies import HUB, Study

log = logging.getLogger(__name__)

TAKEN = (
    ReferralState.ACCEPTED,
    ReferralState.DEPARTED,
    ReferralState.ARRIVED,
    ReferralState.COMPLETED,
)
FOLLOWED = timedelta(days=30)
"""How long after a referral's last step a later result is still handed over."""
TIMEOUT_S = 600.0
Wake = Callable[[str], object]
"""Has a destination looked after at once."""
LETTER_TITLE = "ใบส่งต่อผู้ป่วย"


@dataclass(frozen=True, slots=True)
class _Source:
    """One instance to be copied; `kind` is empty for what the hospital sent."""

    sop_class_uid: str
    sop_instance_uid: str
    storage_key: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be handed over, read in one look."""

    to: Reconciled
    sources: Sequence[_Source]
    subject: Subject
    letter: bytes
    key: str


def waiting_handovers(session: Session, *, limit: int = 50) -> list[Argument]:
    """Referrals with a number that is on no copies yet, or with a later result, as jobs' arguments."""
    newest = _newest_object()
    query = (
        select(Referral.id, Referral.version, newest)
        .join(Study, Study.id == Referral.study_id)
        .where(Referral.changed_at >= now() - FOLLOWED, Referral.state.in_(TAKEN), Referral.receiver_hn != "")
        # of a patient whom a neighbour hub refers, the images may still be on their way
        .where(Study.revision > 0)
        .where((Referral.receiver_hn != Referral.packed_hn) | (newest > Referral.packed_object))
        .order_by(Referral.id)
        .limit(limit)
    )
    return [
        {"referral": number, "version": version, "object": last}
        for number, version, last in session.execute(query)
    ]


def _newest_object() -> ScalarSelect[int]:
    """The number of the newest result object of a referral's study, 0 where there is none."""
    newest = select(func.coalesce(func.max(ResultObject.id), 0))
    return newest.where(ResultObject.study_id == Referral.study_id).correlate(Referral).scalar_subquery()


class Handover:
    """Makes the copies.

    Args:
        engine: The rows.
        storage: The files.
        data: The hub's data folder, for the letter.
        address: What people type to reach the hub, for the letter.
        wake: Has a destination looked after at once.
    """

    def __init__(self, engine: Engine, storage: Storage, *, data: Path, address: str, wake: Wake) -> None:
        self._engine = engine
        self._storage = storage
        self._data = data
        self._address = address
        self._wake = wake

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `HAND_OVER`."""
        return (Step(self.hand_over, attempts=6, first_wait=2.0, timeout=TIMEOUT_S),)

    def give_up(self, failure: Failure) -> None:
        """The copies could not be made: the referral goes on, and the job is among the failed."""
        log.error("handover failed", extra={"referral": failure.argument["referral"], "step": failure.step})

    def hand_over(self, argument: Argument) -> None:
        """Copy everything under the receiving hospital's number, and put it in line for its destinations."""
        at = now()
        with session_scope(self._engine, write=False) as session:
            referral = session.get_one(Referral, argument["referral"])
            newest = session.scalars(select(_newest_object()).where(Referral.id == referral.id)).one()
            if not _awaits(referral, newest):
                return
            wanted = {peer.name: peer.objects for peer in peers.destinations(session, referral.to_hcode)}
            task = self._read(session, referral, at) if wanted else None
        parcels, skipped = self._copy(task) if task else ([], 0)
        letter = self._wrap(task) if task and task.letter else None
        with session_scope(self._engine) as session:
            referral = session.get_one(Referral, argument["referral"], with_for_update=True)
            if not _awaits(referral, newest) or (task and referral.receiver_hn != task.to.patient_id):
                return  # the number was corrected meanwhile: another job has it
            study = session.get_one(Study, referral.study_id)
            for name, kinds in wanted.items():
                fit = [each for each in parcels if not each.kind or each.kind in {*kinds, "sr"}]
                _put_in_line(session, study, name, fit, Purpose.STUDY)
                if letter is not None:
                    _put_in_line(session, study, name, [letter], Purpose.LETTER)
                after_commit(session, partial(self._wake, name))
            referral.packed_hn, referral.packed_object = referral.receiver_hn, newest
            told = {"instances": len(parcels), "left_out": skipped, "destinations": len(wanted)}
            detail = {**audit_detail(referral), **told}
            audit.record(session, HUB, "referral.handed_over", study_id=study.id, detail=detail)
        log.info("referral handed over", extra=argument | told)

    def _read(self, session: Session, referral: Referral, at: datetime) -> _Task:
        study = session.get_one(Study, referral.study_id)
        # what went out already under this number does not go again; only the result may be new
        later = referral.packed_hn == referral.receiver_hn
        rows = objects_of(session, study)
        made = {row.sop_instance_uid: row.kind for row in rows}
        known = {row.sop_instance_uid for row in rows if later and row.id <= referral.packed_object}
        silent = mode_of(session, study.hcode) is Mode.SILENT
        sources = [
            _Source(each.sop_class_uid, each.sop_instance_uid, each.storage_key, kind)
            for each in instances_of(session, study)
            if (not (kind := made.get(each.sop_instance_uid, "")) and not later)
            or (kind and not silent and each.sop_instance_uid not in known)
        ]
        return _Task(
            to=Reconciled(referral.receiver_hn, referral.to_hcode, study.hcode or "", at),
            sources=sources,
            subject=subject_of(study, referral.receiver_hn, referral.to_hcode),
            letter=b""
            if later
            else referral_letter(
                session, referral, self._storage, data=self._data, address=self._address, at=at
            ),
            key=f"referral {referral.id}",
        )

    def _copy(self, task: _Task) -> tuple[list[Parcel], int]:
        """The copies, kept durably; an instance that cannot be read is left out and counted."""
        with tempfile.TemporaryDirectory(dir=self._data) as scratch:
            made: list[tuple[_Source, Path]] = []
            for number, source in enumerate(task.sources):
                target = Path(scratch) / f"{number}.dcm"
                try:
                    reconcile(self._storage.path(source.storage_key), target, task.to)
                except UnreadableDataSet as error:
                    log.error("an image cannot be handed over", extra={"why": str(error)})
                    continue
                made.append((source, target))
            keys = self._storage.keep_all([target for _, target in made])
        parcels = [
            Parcel(source.sop_class_uid, source.sop_instance_uid, key, source.kind)
            for (source, _), key in zip(made, keys, strict=True)
        ]
        return parcels, len(task.sources) - len(parcels)

    def _wrap(self, task: _Task) -> Parcel:
        ds = wrap_pdf(task.letter, task.subject, title=LETTER_TITLE, at=task.to.at, key=task.key)
        buffer = io.BytesIO()
        dcmwrite(buffer, ds, enforce_file_format=True)
        key = self._storage.keep_bytes(buffer.getvalue())
        return Parcel(str(ds.SOPClassUID), str(ds.SOPInstanceUID), key, "pdf")


def _awaits(referral: Referral, newest: int) -> bool:
    packed = (referral.packed_hn, referral.packed_object)
    return referral.state in TAKEN and referral.receiver_hn != "" and packed != (referral.receiver_hn, newest)


def _put_in_line(
    session: Session, study: Study, peer: str, parcels: Sequence[Parcel], purpose: Purpose
) -> Delivery | None:
    """One delivery; where the same instances went out before, the new copies go after them."""
    if not parcels:
        return None
    delivery = queue_delivery(
        session, study, peer, parcels, purpose=purpose, revision=study.revision, urgent=True
    )
    keys = {each.sop_instance_uid: each.storage_key for each in parcels}
    same = all(item["storage_key"] == keys[item["sop_instance_uid"]] for item in delivery.items)
    if not same or delivery.state is not DeliveryState.WAITING:
        delivery.items = [item | {"storage_key": keys[item["sop_instance_uid"]]} for item in delivery.items]
        send_again(session, delivery, HUB)
    return delivery


def subject_of(study: Study, hn: str, hcode: str) -> Subject:
    """The study's patient under the number that a hospital knows them by."""
    return Subject(
        study_instance_uid=study.study_instance_uid,
        patient_id=hn,
        issuer=hcode,
        patient_name=study.patient_name,
        birth_date=study.birth_date,
        sex=study.sex,
        accession_number=study.accession_number,
        study_date=study.study_date,
        study_description=study.study_description,
    )
