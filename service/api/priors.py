"""Priors over HTTP: what the hospital's own PACS has of a study's patient, and having it sent here."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from threading import BoundedSemaphore

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service import priors
from service.api.access import IdentityReader, Look, Reviewer, note_read
from service.api.problems import responses
from service.api.studies import Uid
from service.db import session_scope
from service.errors import NotFound, Unavailable
from service.peers import as_remote
from service.sight import find_own_study

router = APIRouter(
    prefix="/api/v1/studies/{uid}/priors", tags=["studies"], responses=responses(401, 403, 404, 422, 503)
)

AT_ONCE = 4
"""A PACS may take minutes; the threads of everybody else's requests must not all wait for one."""
_asking = BoundedSemaphore(AT_ONCE)


class PriorOut(BaseModel):
    """An earlier study at a PACS."""

    study_instance_uid: str
    study_date: date | None
    description: str
    modalities: list[str]
    instances: int | None
    """As the PACS counts them."""


class SourceOut(BaseModel):
    """What one PACS answered."""

    peer: str
    studies: list[PriorOut]
    error: str
    """Why it did not answer; empty where it did."""


class PriorIn(BaseModel):
    """Which prior to fetch."""

    model_config = ConfigDict(extra="forbid")

    peer: str = Field(max_length=60, examples=["udon-pacs"])
    study_instance_uid: str = Field(max_length=64, pattern=r"^[0-9.]+$")


class FetchedOut(BaseModel):
    """What the PACS says it sent; receipts tell what arrived."""

    completed: int
    failed: int
    warned: int


@router.get("")
def list_priors(request: Request, uid: Uid, viewer: IdentityReader, session: Look) -> list[SourceOut]:
    """Other CT studies of the patient at the PACS of their hospital, newest first."""
    study = find_own_study(session, uid, viewer)
    settings = request.app.state.settings
    sources = [(peer.name, as_remote(peer, settings)) for peer in priors.sources_of(session, study)]
    note_read(request, session, viewer, "priors.find", study_id=study.id)
    with _one_of_few():
        found = [
            priors.find_priors(
                name,
                remote,
                study.patient_id,
                besides=study.study_instance_uid,
                calling_ae=settings.ae_title,
            )
            for name, remote in sources
        ]
    return [
        SourceOut(
            peer=each.peer,
            error=each.error,
            studies=[
                PriorOut(
                    study_instance_uid=prior.study_instance_uid,
                    study_date=prior.study_date,
                    description=prior.description,
                    modalities=list(prior.modalities),
                    instances=prior.instances,
                )
                for prior in each.studies
            ],
        )
        for each in found
    ]


@router.post("")
def fetch_prior(request: Request, uid: Uid, wanted: PriorIn, viewer: Reviewer, session: Look) -> FetchedOut:
    """Have one of them sent to this hub, and answer when the PACS has; it is no news, and wakes nobody."""
    from pacs_gateway.peers import PeerUnreachable
    from pacs_gateway.query import QueryRefused

    study = find_own_study(session, uid, viewer)
    settings = request.app.state.settings
    remote = as_remote(priors.source_of(session, study, wanted.peer), settings)
    note_read(request, session, viewer, "priors.fetch", study_id=study.id)
    with _one_of_few():
        found = priors.find_priors(
            wanted.peer,
            remote,
            study.patient_id,
            besides=study.study_instance_uid,
            calling_ae=settings.ae_title,
        )
        if found.error:
            raise Unavailable(found.error)
        # a UID alone might be anybody's
        known = {prior.study_instance_uid: prior for prior in found.studies}
        if wanted.study_instance_uid not in known:
            raise NotFound(f"{wanted.peer!r} has no study {wanted.study_instance_uid!r} of this patient")
        with session_scope(request.app.state.engine) as writing:
            priors.expect_prior(writing, study, known[wanted.study_instance_uid])
        try:
            sent = priors.fetch_prior(remote, wanted.study_instance_uid, to_ae=settings.ae_title)
        except (PeerUnreachable, QueryRefused) as error:
            raise Unavailable(str(error)) from error
    return FetchedOut(completed=sent.completed, failed=sent.failed, warned=sent.warned)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _asking.acquire(blocking=False):
        raise Unavailable(f"{AT_ONCE} questions to PACS are under way; ask again in a moment")
    try:
        yield
    finally:
        _asking.release()
