"""The way back: from a result to DICOM objects in storage, and from there in line for each destination."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from pacs_gateway.objects import ResultFile, build_final_report, build_objects
from pacs_gateway.results import Reference
from service import peers, result_objects, studies
from service.cases import case_of
from service.db import after_commit, session_scope
from service.deliveries import Parcel, Purpose, queue_delivery
from service.hospital_modes import Mode, mode_of
from service.reported import study_result
from service.reviews import Review, Signature
from service.states import OUTCOMES, Lane, StudyState
from service.steps import Argument
from service.storage import Storage
from service.studies import Study

log = logging.getLogger(__name__)

NEWEST_SIGNATURES = 50
REPORTED = OUTCOMES - {StudyState.FAILED}
"""Of a study that broke the analysis there is nothing to report."""


def unreported_signatures(session: Session) -> list[Argument]:
    """Signed reviews of current results whose final report is not made, as the arguments of `return_signed`.

    Looked for among the newest: a signature is reported within seconds, or its job is among the failed.
    """
    newest = session.execute(
        select(Signature, Study)
        .join(Study, Study.id == Signature.study_id)
        .where(Study.revision == Signature.revision, Study.state.in_(REPORTED))
        .order_by(Signature.review_id.desc())
        .limit(NEWEST_SIGNATURES)
    )
    return [
        {"study": study.id, "revision": signature.revision, "review": signature.review_id}
        for signature, study in newest
        if not result_objects.has_final(session, study, since=signature.at)
    ]


class Returning:
    """Makes the objects of a result and puts them in line for the hospital's destinations.

    Args:
        engine: The rows.
        storage: The files.
        model: Name and digest of the package at work at a hospital, for studies refused before it looked.
        wake: Has a destination looked after at once.
    """

    def __init__(
        self,
        engine: Engine,
        storage: Storage,
        model: Callable[[Session, str | None], tuple[str, str]],
        wake: Callable[[str], object],
    ) -> None:
        self._engine = engine
        self._storage = storage
        self._model = model
        self._wake = wake

    def return_result(self, argument: Argument) -> None:
        """Make the objects of one revision's result; a result that late slices have overtaken is left out.

        So is one of a case from the archive that was offered for labelling: in the hospital's PACS it would
        tell a reader what the AI says, and nobody waits for it. They are made if somebody signs it.
        """
        with session_scope(self._engine, write=False) as session:
            study = studies.load_study(session, argument["study"], lock=False)
            if study.lane is Lane.RETROSPECTIVE and case_of(session, study) is not None:
                log.info("a case to be read blind returns nothing", extra=argument)
                return
        self._return(argument)

    def _return(self, argument: Argument) -> None:
        with session_scope(self._engine, write=False) as session:
            study = studies.load_study(session, argument["study"], lock=False)
            if study.revision != argument["revision"] or study.state not in REPORTED:
                log.info("nothing to return", extra=argument)
                return
            model = self._model(session, study.hcode)
            result = study_result(session, study, self._storage, model=model)
        self._keep(argument, build_objects(result), final=False)

    def return_signed(self, argument: Argument) -> None:
        """Make the final report after a radiologist's word; `argument` also names the review."""
        with session_scope(self._engine, write=False) as session:
            study = studies.load_study(session, argument["study"], lock=False)
            review = session.get(Review, argument["review"])
            if review is None or review.revision != study.revision or study.state not in REPORTED:
                log.info("nothing to sign", extra=argument)
                return
            rows = result_objects.objects_of(session, study, superseded=True)
            reports = [row for row in rows if row.kind == "sr" and row.revision == study.revision]
            if not reports:
                self._return(argument)
                rows = result_objects.objects_of(session, study, superseded=True)
                reports = [row for row in rows if row.kind == "sr" and row.revision == study.revision]
            last = reports[-1]
            previous = Reference(last.sop_class_uid, last.sop_instance_uid, last.series_instance_uid)
            model = self._model(session, study.hcode)
            result = study_result(session, study, self._storage, model=model, review=review)
        argument = {"study": argument["study"], "revision": review.revision}
        self._keep(argument, [build_final_report(result, previous)], final=True)

    def _keep(self, argument: Argument, files: list[ResultFile], *, final: bool) -> None:
        # files first, then the rows that point to them
        keys = [self._storage.keep_bytes(file.content) for file in files]
        with session_scope(self._engine) as session:
            study = studies.load_study(session, argument["study"])
            if study.revision != argument["revision"]:
                return
            made = [
                result_objects.record_object(
                    session, study, file, key, revision=argument["revision"], final=final
                )
                for file, key in zip(files, keys, strict=True)
            ]
            self._put_in_line(session, study, made)
        log.info("result objects made", extra=argument | {"objects": len(files)})

    def _put_in_line(
        self, session: Session, study: studies.Study, made: Sequence[result_objects.ResultObject]
    ) -> None:
        """One delivery for each destination of the study's hospital, with the kinds that it wants."""
        if study.hcode is None or mode_of(session, study.hcode) is Mode.SILENT:
            return
        for peer in peers.destinations(session, study.hcode):
            parcels = [
                Parcel(row.sop_class_uid, row.sop_instance_uid, row.storage_key, row.kind)
                for row in made
                if row.kind in peer.objects
            ]
            if not parcels:
                continue
            urgent = study.state is StudyState.FLAGGED
            queue_delivery(
                session,
                study,
                peer.name,
                parcels,
                purpose=Purpose.RESULT,
                revision=study.revision,
                urgent=urgent,
            )
            after_commit(session, partial(self._wake, peer.name))
