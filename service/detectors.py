"""Detectors: the packages that a worker reads with, as the registry says, changed between two studies.

A package is loaded when the first study wants it, and proven again by its golden studies. One that fails is
not used: the package that read there before goes on, and the fault is in the model's history.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from model.detect import Detector, Heat
from model.stroke import Decision, Prediction, Score, StrokeType
from model.volume import Volume
from model.weights import BadArtefact
from service.accounts import OPERATOR, Viewer
from service.db import session_scope
from service.hospital_thresholds import thresholds_in_force
from service.model_states import ModelVerb
from service.models import REGION, Model, note_step, steps_of
from service.placements import models_at, state_in

log = logging.getLogger(__name__)

HUB = Viewer("hub", OPERATOR.role, None)
"""In whose name a worker notes a fault."""
KEPT = 3
"""Packages in memory at once: the region's, a canary's, and the one before."""

Open = Callable[[Path], Detector]


@dataclass(frozen=True, slots=True)
class Package:
    """What is needed to load a model, without its row."""

    number: int
    name: str
    digest: str
    folder: str


@dataclass(frozen=True, slots=True)
class HospitalFlag:
    """From which score one hospital has a finding flagged, and the row that says who set it."""

    number: int
    flag: float


@dataclass(frozen=True, slots=True)
class Reader:
    """A package with the thresholds that one hospital set for it."""

    detector: Detector
    hcode: str | None
    flags: Mapping[StrokeType, HospitalFlag]

    def read(self, volume: Volume) -> tuple[Prediction, Heat]:
        """Read one study; a score whose threshold is the hospital's own says so."""
        found, heat = self.detector.read(volume, flags={kind: each.flag for kind, each in self.flags.items()})
        return replace(found, scores=tuple(self._explained(score) for score in found.scores)), heat

    def _explained(self, score: Score) -> Score:
        if score.stroke_type not in self.flags or score.decision is Decision.NOT_ASSESSED:
            return score
        usual = self.detector.artefact.calibrations[score.stroke_type].flag
        own = f"The flag threshold is hospital {self.hcode}'s own; the package's is {usual:.3f}."
        return replace(score, reason=f"{score.reason} {own}")


def reader_at(engine: Engine, detector: Detector, hcode: str | None) -> Reader:
    """A package as a hospital has it read now; call it with no session open."""
    with session_scope(engine, write=False) as session:
        rows = thresholds_in_force(session, detector.artefact.digest, hcode)
        flags = {kind: HospitalFlag(row.id, row.flag) for kind, row in rows.items() if row.flag is not None}
    return Reader(detector, hcode, flags)


class Packages:
    """Registered packages in memory, loaded when first wanted; the one used longest ago goes first.

    Args:
        engine: The rows.
        data: HUB_DATA, where registered packages lie.
        load: Loads and proves a package.
    """

    def __init__(self, engine: Engine, data: Path, load: Open | None = None) -> None:
        self._engine = engine
        self._data = data
        self._load = load or Detector
        self._kept: OrderedDict[str, Detector] = OrderedDict()
        self._faulty: set[str] = set()

    def ready(self, wanted: Package) -> Detector | None:
        """The package; None where it cannot be used, which is then in the model's history."""
        if wanted.digest in self._faulty:
            return None
        if wanted.digest not in self._kept:
            try:
                self._kept[wanted.digest] = self._proven(wanted)
            except (BadArtefact, OSError, ValueError) as fault:
                self._faulty.add(wanted.digest)
                self._note(wanted, str(fault))
                return None
            log.info("model package loaded", extra={"model": wanted.name, "digest": wanted.digest})
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(wanted.digest)
        return self._kept[wanted.digest]

    def _proven(self, wanted: Package) -> Detector:
        detector = self._load(self._data / wanted.folder)
        if detector.artefact.digest != wanted.digest:
            raise BadArtefact(
                f"{wanted.folder} has the digest {detector.artefact.digest[:12]}, "
                f"{wanted.name} was registered with {wanted.digest[:12]}"
            )
        return detector

    def _note(self, wanted: Package, why: str) -> None:
        log.critical("a model package cannot be used", extra={"model": wanted.name, "why": why})
        with session_scope(self._engine) as session:
            model = session.get_one(Model, wanted.number)
            newest = steps_of(session, model, limit=1)
            if newest and newest[0].verb is ModelVerb.FAULT:
                return
            state = state_in(session, model, REGION)
            note_step(session, HUB, model, REGION, ModelVerb.FAULT, state, state, reason=why)


class Detectors:
    """Which package reads where, of one worker.

    Args:
        engine: The rows.
        data: HUB_DATA, where registered packages lie.
        shipped: The package of HUB_MODEL, for where no model is live.
        load: Loads and proves a package.
    """

    def __init__(self, engine: Engine, data: Path, shipped: Detector, load: Open | None = None) -> None:
        self._engine = engine
        self._packages = Packages(engine, data, load)
        self._shipped = shipped
        self._last: dict[str, Detector] = {}
        self._lock = threading.Lock()

    def named(self, session: Session, hcode: str | None) -> tuple[str, str]:
        """Name and digest of the package that reads a hospital's studies now."""
        if live := models_at(session, hcode).live:
            return live.name, live.digest
        return self._shipped.artefact.name, self._shipped.artefact.digest

    def at(self, hcode: str | None) -> Detector:
        """The package that reads a hospital's studies, ready; call it with no session open."""
        with session_scope(self._engine, write=False) as session:
            live = models_at(session, hcode).live
            wanted = package_of(live) if live else None
        with self._lock:
            detector: Detector | None = self._shipped
            if wanted is not None and wanted.digest != self._shipped.artefact.digest:
                detector = self._packages.ready(wanted)
            if detector is None:
                return self._last.get(hcode or REGION, self._shipped)
            self._last[hcode or REGION] = detector
            return detector

    def reader(self, hcode: str | None) -> Reader:
        """That package with the hospital's own thresholds for it; call it with no session open."""
        return reader_at(self._engine, self.at(hcode), hcode)


def package_of(model: Model) -> Package:
    """What is needed to load a model."""
    return Package(model.id, model.name, model.digest, model.folder)
