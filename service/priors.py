"""Priors: a patient's earlier studies at the PACS of their own hospital, listed and fetched when asked for.

What was fetched as a prior waits behind patients who are in the scanner now, and its result wakes nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, UtcDateTime, now
from service.errors import BadRequest, NotFound
from service.peers import Peer, PeerRole, list_peers
from service.states import Lane
from service.studies import Study

if TYPE_CHECKING:
    from pacs_gateway.peers import Peer as Remote
    from pacs_gateway.query import FoundStudy, Transfer

EXPECTED_FOR = timedelta(days=1)
"""What arrives later than this was not sent because somebody asked."""
OLD = timedelta(days=2)
"""A study of the last days may be news, whoever asks for it."""
FIND_SECONDS = 10.0


class ExpectedPrior(Base):
    """A study that somebody asked a hospital's PACS for."""

    __tablename__ = "expected_priors"

    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(Text, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    """The study that it is a prior of."""
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


@dataclass(frozen=True, slots=True)
class Found:
    """What one PACS has of a patient; `error` says why that is not known."""

    peer: str
    studies: "Sequence[FoundStudy]"
    error: str = ""


def sources_of(session: Session, study: Study) -> Sequence[Peer]:
    """The PACS that may be asked: a HN means a patient at its own hospital only.

    Raises:
        BadRequest: the study names no patient.
    """
    if not study.patient_id:
        raise BadRequest("the study has no HN to ask by")
    if study.hcode is None:
        return []
    return list_peers(session, hcode=study.hcode, role=PeerRole.PRIORS, enabled_only=True)


def source_of(session: Session, study: Study, name: str) -> Peer:
    """The one of them with this name.

    Raises:
        NotFound: there is none.
        BadRequest: the study names no patient.
    """
    for peer in sources_of(session, study):
        if peer.name == name:
            return peer
    raise NotFound(f"{name!r} is no source of priors for the study's hospital")


def expect_prior(session: Session, study: Study, prior: "FoundStudy") -> None:
    """Remember that this study was asked for, before it is; a recent or undated one comes in as any other."""
    if prior.study_date is None or prior.study_date > now().date() - OLD:
        return
    assert study.hcode is not None
    known = session.get(ExpectedPrior, (study.hcode, prior.study_instance_uid))
    if known is None:
        known = ExpectedPrior(hcode=study.hcode, study_instance_uid=prior.study_instance_uid)
        session.add(known)
    known.study_id, known.asked_at = study.id, now()


def lane_of(session: Session, hcode: str | None, study_instance_uid: str) -> Lane:
    """The line of a study that arrives: behind the living, if it was asked for as a prior."""
    asked_at = session.scalar(
        select(ExpectedPrior.asked_at).where(
            ExpectedPrior.hcode == hcode, ExpectedPrior.study_instance_uid == study_instance_uid
        )
    )
    asked = asked_at is not None and now() - asked_at <= EXPECTED_FOR
    return Lane.RETROSPECTIVE if asked else Lane.LIVE


def find_priors(name: str, remote: "Remote", patient_id: str, *, besides: str, calling_ae: str) -> Found:
    """Ask one PACS for a patient's other CT studies, newest first.

    Args:
        name: what the hub calls the PACS.
        remote: how it is called.
        patient_id: the HN.
        besides: the study that is here already.
        calling_ae: our own title.
    """
    # not at the top: the API imports this, and pynetdicom costs 20 MB
    from pacs_gateway.peers import PeerUnreachable
    from pacs_gateway.query import QueryRefused, find_studies

    try:
        found = find_studies(
            remote, patient_id=patient_id, calling_ae=calling_ae, timeout_seconds=FIND_SECONDS
        )
    except (PeerUnreachable, QueryRefused) as error:
        return Found(name, [], str(error))
    except ValueError as error:  # a HN with wildcards would ask for everybody
        raise BadRequest(str(error)) from error
    return Found(name, [study for study in found if study.study_instance_uid != besides])


def fetch_prior(remote: "Remote", study_instance_uid: str, *, to_ae: str) -> "Transfer":
    """Have a PACS send one study to our listener.

    Raises:
        PeerUnreachable, QueryRefused: it does not.
    """
    from pacs_gateway.query import move_study

    return move_study(remote, study_instance_uid, to_ae=to_ae, calling_ae=to_ae)
