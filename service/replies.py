"""Reply: the reply letter on its way into the PACS of the hospital that referred the patient.

It goes as Encapsulated PDF under that hospital's own number, as an instance of the study that it sent. Where
the hospital has no destination, or never told a number, nothing goes: people read it in the hub.
"""

import io
import logging
from functools import partial
from pathlib import Path
from typing import Final

from pydicom import dcmwrite
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from pacs_gateway.letter import wrap_pdf
from pacs_gateway.results import Subject
from service import audit, peers
from service.db import after_commit, now, session_scope
from service.deliveries import Parcel, Purpose, queue_delivery
from service.failures import Failure
from service.handovers import FOLLOWED, TIMEOUT_S, Wake, subject_of
from service.hospitals import find_hospital
from service.referral_states import ReferralState
from service.referral_steps import steps_of
from service.referrals import Referral, audit_detail, sender_hn
from service.reply_letters import replied_at, reply_letter
from service.steps import Argument, Step
from service.storage import Storage
from service.studies import HUB, Study

log = logging.getLogger(__name__)

TITLE: Final = "ใบตอบกลับการส่งต่อ"
"""Short enough for a PACS that counts bytes where LO counts characters. PS3.5 6.2."""


def waiting_replies(session: Session, *, limit: int = 50) -> list[Argument]:
    """Completed referrals whose reply letter was not put in line yet, as jobs' arguments."""
    query = select(Referral.id).where(
        Referral.state == ReferralState.COMPLETED,
        Referral.reply_packed_at.is_(None),
        Referral.changed_at >= now() - FOLLOWED,
    )
    return [{"referral": number} for number in session.scalars(query.order_by(Referral.id).limit(limit))]


class Replies:
    """Makes the object and puts it in line.

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
        """The steps of the job `REPLY`."""
        return (Step(self.reply, attempts=6, first_wait=2.0, timeout=TIMEOUT_S),)

    def give_up(self, failure: Failure) -> None:
        """The letter could not be made: it can be read in the hub, and the job is among the failed."""
        log.error("reply letter failed", extra={"referral": failure.argument["referral"]})

    def reply(self, argument: Argument) -> None:
        """Put a reply letter in line for every destination of the sending hospital; once for good."""
        number = argument["referral"]
        with session_scope(self._engine, write=False) as session:
            referral = session.get_one(Referral, number)
            wanted = peers.destinations(session, referral.from_hcode)
            names = [peer.name for peer in wanted] if sender_hn(session, referral) else []
            parcels = [self._parcel(session, referral)] if names else []
        with session_scope(self._engine) as session:
            referral = session.get_one(Referral, number, with_for_update=True)
            if referral.reply_packed_at is not None:
                return
            study = session.get_one(Study, referral.study_id)
            for name in names:
                queue_delivery(session, study, name, parcels, purpose=Purpose.REPLY, revision=study.revision)
                after_commit(session, partial(self._wake, name))
            referral.reply_packed_at = now()
            told = {"destinations": len(names)}
            detail = {**audit_detail(referral), **told}
            audit.record(session, HUB, "referral.replied", study_id=study.id, detail=detail)
        log.info("reply letter in line", extra=argument | told)

    def _parcel(self, session: Session, referral: Referral) -> Parcel:
        pdf = reply_letter(session, referral, data=self._data, address=self._address)
        subject = reply_subject(session, referral)
        ds = wrap_pdf(
            pdf,
            subject,
            title=TITLE,
            at=replied_at(referral, steps_of(session, referral)),
            key=f"reply {referral.id}",
            institution=find_hospital(session, referral.to_hcode).name_en,
        )
        buffer = io.BytesIO()
        dcmwrite(buffer, ds, enforce_file_format=True)
        key = self._storage.keep_bytes(buffer.getvalue())
        return Parcel(str(ds.SOPClassUID), str(ds.SOPInstanceUID), key, "pdf")


def reply_subject(session: Session, referral: Referral) -> Subject:
    """Whose letter it is, as the sending hospital's PACS knows the patient."""
    study = session.get_one(Study, referral.study_id)
    return subject_of(study, sender_hn(session, referral), referral.from_hcode)
