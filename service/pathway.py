"""The whole path of a study in one file: admitted from the inbox, analysed, and given a final state."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from model.detect import Detector
from model.picture import key_slices
from model.stroke import Prediction
from model.volume import UnreadableStudy, Volume, load_head_ct
from pacs_gateway.inbox import ArrivedStudy
from service import findings, studies
from service.db import session_scope
from service.storage import Storage

log = logging.getLogger(__name__)


def job_key(study_id: int, revision: int) -> str:
    """One job for one revision of one study: asking twice runs it once."""
    return f"analyse:{study_id}:{revision}"


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the inbox loop needs to know of a study that is now in the hub's own keeping."""

    study_id: int
    revision: int
    lane: str
    priority: str
    needs_analysis: bool


def admit(arrived: ArrivedStudy, *, engine: Engine, storage: Storage) -> Admitted:
    """Take a complete study from the inbox into storage and rows.

    May be repeated after a crash at any point: files are kept under their own hash, and the same set of
    instances is the same revision.
    """
    # every file is durable in storage before a row says so
    keys = {instance.sha256: storage.keep(instance.path, instance.sha256) for instance in arrived.instances}

    with session_scope(engine) as session:
        study = studies.register_study(session, arrived, stored=keys)
        return Admitted(
            study_id=study.id,
            revision=study.revision,
            lane=study.lane,
            priority=study.priority,
            needs_analysis=study.state in (studies.StudyState.READY, studies.StudyState.ANALYSING),
        )


class Pathway:
    """The steps that a worker runs, with what they need: rows, files, and the network."""

    def __init__(self, engine: Engine, storage: Storage, detector: Detector) -> None:
        self._engine = engine
        self._storage = storage
        self._detector = detector

    def steps(self) -> Mapping[str, Callable[[str], None]]:
        """Job name -> step, for `jobs.register`; the argument is the job key."""
        return {"analyse": self.analyse}

    def analyse(self, key: str) -> None:
        """Look for stroke in one revision of a study; ends in flagged, clear, review or refused."""
        study_id, revision = (int(part) for part in key.split(":")[1:3])

        # a study that changed since has a job of its own
        with session_scope(self._engine) as session:
            study = studies.get_study(session, study_id)
            if not studies.begin_analysis(session, study, revision):
                log.info("analysis skipped", extra={"study": study_id, "revision": revision})
                return
            paths = [self._storage.path(stored) for stored in studies.stored_keys(session, study)]

        # a refusal is an answer, with its reasons; anything else unexpected is the job engine's to retry
        started = time.perf_counter()
        try:
            volume = load_head_ct(paths)
        except UnreadableStudy as refusal:
            with session_scope(self._engine) as session:
                study = studies.get_study(session, study_id)
                studies.mark_refused(session, study, refusal.refusals, refusal.notes, revision=revision)
            log.info("study refused", extra={"study": study_id, "reasons": [*refusal.refusals]})
            return
        load_seconds = time.perf_counter() - started

        prediction = self._detector.detect(volume)

        # pictures first, then the rows that point to them
        keys = self._keep_pictures(volume, prediction)
        with session_scope(self._engine) as session:
            study = studies.get_study(session, study_id)
            findings.record_prediction(
                session, study, prediction, revision=revision, key_slices=keys, load_seconds=load_seconds
            )
        log.info("study analysed", extra={"study": study_id, "decision": prediction.decision})

    def fail(self, key: str, step: str, error: str) -> None:
        """The job engine gave up: say so on the study, with the step and the error."""
        study_id, revision = (int(part) for part in key.split(":")[1:3])
        with session_scope(self._engine) as session:
            study = studies.get_study(session, study_id)
            studies.mark_failed(session, study, step=step, error=error, revision=revision)
        log.error("study failed", extra={"study": study_id, "step": step})

    def _keep_pictures(self, volume: Volume, prediction: Prediction) -> list[tuple[int, str]]:
        return [
            (index, self._storage.keep_bytes(picture)) for index, picture in key_slices(volume, prediction)
        ]


def stored_paths(storage: Storage, keys: list[str]) -> list[Path]:
    """Local files behind storage keys."""
    return [storage.path(key) for key in keys]
