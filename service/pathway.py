"""The whole path of a study in one file: admitted from the inbox, analysed, given a final state."""

import dataclasses
import logging
import time
from collections.abc import Callable

from sqlalchemy import Engine

from model.picture import key_slices
from model.reading import pack, reading_of
from model.stroke import Note, Prediction
from model.volume import UnreadableStudy, Volume, load_head_ct
from pacs_gateway.arrivals import ArrivedStudy, digest_of
from service import findings, series, studies
from service.announcements import announce_outcome
from service.arrivals import by_portal
from service.cases import screen_again
from service.db import now, session_scope
from service.descriptions import describe
from service.detectors import Detectors
from service.failures import Failure
from service.priors import lane_of
from service.result_objects import own_uids, study_of
from service.returning import Returning
from service.states import Lane, StudyState
from service.steps import Argument, Step
from service.storage import Storage

log = logging.getLogger(__name__)

ANALYSE_TIMEOUT_S = 300.0
"""Longer than the slowest study on two cores by far; a hung decoder must not hold the only slot."""


def admit(arrived: ArrivedStudy, engine: Engine, storage: Storage) -> studies.Study:
    """Take a complete study from the inbox into storage and rows.

    May be repeated after a crash at any point: files are kept under their own hash, and the same set of
    instances is the same revision.
    """
    # what the hub made itself and a PACS brings back is no news of the patient
    with session_scope(engine, write=False) as session:
        own = own_uids(session, [each.sop_instance_uid for each in arrived.instances])
        if len(own) == len({each.sop_instance_uid for each in arrived.instances}):
            return study_of(session, own)
    arrived = _without(own, arrived)

    # every file is durable in storage before a row says so; no lock on the rows is held meanwhile
    keys = storage.keep_all([each.path for each in arrived.instances])
    stored = {each.sha256: key for each, key in zip(arrived.instances, keys, strict=True)}

    with session_scope(engine) as session:
        portal = by_portal(arrived.senders)
        uid = arrived.study_instance_uid
        lane = Lane.RETROSPECTIVE if portal else lane_of(session, arrived.identity.hcode, uid)
        return studies.register_study(session, arrived, stored, lane=lane)


def _without(own: set[str], arrived: ArrivedStudy) -> ArrivedStudy:
    if not own:
        return arrived
    kept = tuple(each for each in arrived.instances if each.sop_instance_uid not in own)
    return dataclasses.replace(arrived, instances=kept, digest=digest_of(each.sha256 for each in kept))


class Pathway:
    """The steps that a worker runs, with what they need: rows, files, and the networks."""

    def __init__(
        self,
        engine: Engine,
        storage: Storage,
        detectors: Detectors,
        *,
        wake: Callable[[str], object] = lambda peer: None,
    ) -> None:
        """Take what the steps need.

        Args:
            engine: The rows.
            storage: The files.
            detectors: The networks, and which reads where.
            wake: Has a destination looked after at once; without it the dispatch does so a little later.
        """
        self._engine = engine
        self._storage = storage
        self._detectors = detectors
        self._returning = Returning(engine, storage, detectors.named, wake)

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `ANALYSE`, in order."""
        return (
            Step(self.analyse, attempts=4, first_wait=1.0, timeout=ANALYSE_TIMEOUT_S),
            Step(self.alert, attempts=6, first_wait=1.0, timeout=ANALYSE_TIMEOUT_S),
            Step(self.return_result, attempts=6, first_wait=2.0, timeout=ANALYSE_TIMEOUT_S),
            Step(self.describe, attempts=4, first_wait=2.0, timeout=ANALYSE_TIMEOUT_S),
        )

    def analyse(self, argument: Argument) -> None:
        """Look for stroke in one revision of a study; ends in flagged, clear, review or refused."""
        # a study that changed since has a job of its own
        with session_scope(self._engine) as session:
            study = studies.load_study(session, argument["study"])
            if not _awaits(study, argument["revision"]):
                log.info("analysis not needed", extra=argument)
                return
            studies.begin_analysis(session, study)
            keys = series.storage_keys(session, study.id)
            seconds, hcode = _waited(study), study.hcode

        # a refusal is an answer, with its reasons; anything else unexpected is the job engine's to retry
        started = time.perf_counter()
        try:
            volume = load_head_ct([self._storage.path(key) for key in keys])
        except UnreadableStudy as refusal:
            self._refuse(argument, refusal)
            return
        seconds["load"] = time.perf_counter() - started

        # the model and the thresholds of this moment; a promotion, a roll-back or another threshold counts
        # from the next study on
        reader = self._detectors.reader(hcode)
        prediction, heat = reader.read(volume)

        # pictures first, then the rows that point to them
        started = time.perf_counter()
        pictures = self._keep_pictures(volume, prediction)
        reading = self._storage.keep_bytes(pack(reading_of(volume, heat)))
        seconds["pictures"] = time.perf_counter() - started
        prediction = dataclasses.replace(prediction, seconds=seconds | dict(prediction.seconds))
        with session_scope(self._engine) as session:
            study = studies.load_study(session, argument["study"])
            if _awaits(study, argument["revision"]):
                findings.record_prediction(
                    session,
                    study,
                    prediction,
                    pictures,
                    runner_up=volume.runner_up,
                    reading=reading,
                    thresholds={kind: each.number for kind, each in reader.flags.items()},
                )
        log.info("study analysed", extra=argument | {"decision": prediction.decision.value})

    def alert(self, argument: Argument) -> None:
        """Have the people on call told of a flag, before anything else is made of it."""
        with session_scope(self._engine) as session:
            study = studies.load_study(session, argument["study"])
            if study.revision == argument["revision"]:
                announce_outcome(session, study)

    def return_result(self, argument: Argument) -> None:
        """Make the objects that go back to the hospital; whatever the outcome, it is told."""
        self._returning.return_result(argument)

    def signing_steps(self) -> tuple[Step, ...]:
        """The steps of the job `SIGN`."""
        return (Step(self.return_signed, attempts=6, first_wait=2.0, timeout=ANALYSE_TIMEOUT_S),)

    def note_unsigned(self, failure: Failure) -> None:
        """The final report could not be made: the review itself stands, and the job is among the failed."""
        log.error("final report failed", extra={"study": failure.argument["study"], "step": failure.step})

    def return_signed(self, argument: Argument) -> None:
        """Make the final report after a radiologist's word; `argument` also names the `review`."""
        self._returning.return_signed(argument)

    def describe(self, argument: Argument) -> None:
        """Read the headers once, for DICOMweb and for the criteria of a case that was offered before."""
        describe(self._engine, self._storage, argument["study"])
        with session_scope(self._engine) as session:
            screen_again(session, studies.load_study(session, argument["study"]))

    def give_up(self, failure: Failure) -> None:
        """The job engine will not try again: say so on the study, with the step and the error."""
        argument: Argument = failure.argument
        with session_scope(self._engine) as session:
            study = studies.load_study(session, argument["study"])
            if _awaits(study, argument["revision"]):
                studies.mark_failed(session, study, failure.step, failure.error)
                announce_outcome(session, study)
        log.error("study failed", extra=argument | {"step": failure.step})

    def _refuse(self, argument: Argument, refusal: UnreadableStudy) -> None:
        with session_scope(self._engine) as session:
            study = studies.load_study(session, argument["study"])
            if _awaits(study, argument["revision"]):
                why = Note("refused", str(refusal))
                studies.mark_refused(session, study, refusal.refusals, (why, *refusal.notes))
        log.info("study refused", extra=argument | {"reasons": [each.value for each in refusal.refusals]})

    def _keep_pictures(self, volume: Volume, prediction: Prediction) -> list[findings.KeySlice]:
        return [(index, self._storage.keep_bytes(webp)) for index, webp in key_slices(volume, prediction)]


def _waited(study: studies.Study) -> dict[str, float]:
    """Seconds from the last slice until the study was complete and admitted, and from then until now."""
    assert study.ready_at is not None, study.id
    return {
        "completion": (study.ready_at - study.last_received_at).total_seconds(),
        "queue": (now() - study.ready_at).total_seconds(),
    }


def _awaits(study: studies.Study, revision: int) -> bool:
    """Whether this revision is the study's present one and has no outcome yet."""
    return study.revision == revision and study.state in (StudyState.READY, StudyState.ANALYSING)
