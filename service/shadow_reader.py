"""The lane of the models in shadow: one study after another, in a thread that the system serves last.

It is no lane of the job engine: a job that waits there holds a slot, and what is due follows from the rows.
It begins no study while a live one waits or is read, runs on one core at the lowest priority, and is late
instead. It writes `shadow_predictions` and nothing else.
"""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, exists, select
from sqlalchemy.orm import Session

from model.stroke import Prediction
from model.volume import UnreadableStudy, load_head_ct
from service import series
from service.db import session_scope
from service.detectors import Package, Packages, package_of, reader_at
from service.findings import Analysis
from service.locks import alone
from service.model_states import ModelState
from service.models import Model
from service.placements import Placement, models_at
from service.shadows import ShadowPrediction, record_shadow
from service.states import Lane, StudyState
from service.storage import Storage, StorageError
from service.studies import Study

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
LEAST_URGENT = 19
"""Of nice(2); Linux keeps it for each thread."""
AT_ONCE = 50
"""Analyses looked at for one that is due."""


@dataclass(frozen=True, slots=True)
class Due:
    """One study that a shadow has not read."""

    analysis: int
    study: int
    hcode: str | None
    package: Package
    keys: Sequence[str]


class ShadowReader:
    """Reads in shadow, on one worker of a machine.

    Args:
        engine: The rows.
        storage: The files.
        packages: Packages of its own: a detector is not shared between threads.
        lock: A file; who holds it reads.
    """

    def __init__(self, engine: Engine, storage: Storage, packages: Packages, lock: Path) -> None:
        self._engine = engine
        self._storage = storage
        self._packages = packages
        self._lock = lock
        self._passed: dict[tuple[str, int, int], int] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a round that fails is logged and tried again."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_URGENT)
        with alone(self._lock, stop) as mine:
            while mine and not stop.is_set():
                try:
                    if self.round():
                        continue
                except Exception:  # one round must not end the lane; the next tries again
                    log.exception("shadow round failed")
                stop.wait(POLL_SECONDS)

    def round(self) -> bool:
        """Read one study that is due; False where none is, or where a live one has to go first."""
        with session_scope(self._engine, write=False) as session:
            if live_waits(session):
                return False
            due = self._due(session)
        if due is None:
            return False
        detector = self._packages.ready(due.package)
        if detector is None:
            self._keep(due, None, f"{due.package.name} cannot be used on this worker")
            return True
        try:
            volume = load_head_ct([self._storage.path(key) for key in due.keys])
        except (UnreadableStudy, StorageError, OSError) as refusal:
            self._keep(due, None, str(refusal))  # or it would hold up every study behind it
            return True
        # a live study may have come while the files were read
        with session_scope(self._engine, write=False) as session:
            if live_waits(session):
                return False
        # as it would read there if it were live
        self._keep(due, reader_at(self._engine, detector, due.hcode).read(volume)[0])
        return True

    def _due(self, session: Session) -> Due | None:
        rows = session.execute(
            select(Placement, Model)
            .join(Model, Model.id == Placement.model_id)
            .where(Placement.state == ModelState.SHADOW)
            .order_by(Placement.place)
        ).all()
        for placement, model in rows:
            if (found := self._due_for(session, placement, model)) is not None:
                return found
        return None

    def _due_for(self, session: Session, placement: Placement, model: Model) -> Due | None:
        """The oldest analysis since the model came into shadow there, of a study as it still is."""
        mark = (placement.place, model.id, placement.after_analysis)
        read = exists().where(
            ShadowPrediction.analysis_id == Analysis.id, ShadowPrediction.model_id == model.id
        )
        query = (
            select(Analysis, Study)
            .join(Study, Study.id == Analysis.study_id)
            .where(
                Analysis.id > self._passed.get(mark, placement.after_analysis),
                Analysis.revision == Study.revision,
                ~read,
            )
            .order_by(Analysis.id)
            .limit(AT_ONCE)
        )
        if placement.place:
            query = query.where(Study.hcode == placement.place)
        for analysis, study in session.execute(query):
            if models_at(session, study.hcode).shadow is model:
                keys = series.storage_keys(session, study.id)
                return Due(analysis.id, study.id, study.hcode, package_of(model), keys)
            self._passed[mark] = analysis.id  # of a hospital that goes its own way
        return None

    def _keep(self, due: Due, prediction: Prediction | None, error: str = "") -> None:
        with session_scope(self._engine) as session:
            analysis, study = session.get_one(Analysis, due.analysis), session.get_one(Study, due.study)
            model = session.get_one(Model, due.package.number)
            if analysis.revision == study.revision:
                record_shadow(session, analysis, study, model, prediction, error)
        log.info("study read in shadow", extra={"study": due.study, "model": due.package.name})


def live_waits(session: Session) -> bool:
    """Whether a study of a patient who is in a scanner or emergency room now is to be read."""
    waits = select(Study.id).where(
        Study.state.in_([StudyState.READY, StudyState.ANALYSING]), Study.lane == Lane.LIVE
    )
    return session.scalar(waits.limit(1)) is not None
