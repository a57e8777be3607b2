"""What packages answer with by themselves: their thresholds, read without loading the networks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy.orm import Session

from model.calibration import TypeCalibration
from model.site import load_site
from model.stroke import StrokeType
from model.weights import digest, read_metadata
from service.errors import NotReady
from service.models import LEAST_DIGITS, find_model
from service.placements import models_at
from service.settings import Settings
from service.shipped import shipped


@dataclass(frozen=True, slots=True)
class Own:
    """A package and the thresholds that it has by itself."""

    name: str
    digest: str
    calibrations: Mapping[StrokeType, TypeCalibration]

    @property
    def assessed(self) -> tuple[StrokeType, ...]:
        """What the package answers for."""
        return tuple(kind for kind in StrokeType if self.calibrations[kind].assessed)


def own_of(session: Session, settings: Settings, name: str) -> Own:
    """A registered package, or that of HUB_MODEL, by its name or the beginning of its digest.

    Raises:
        NotFound: there is none. NotReady: its files cannot be read.
    """
    standard = shipped(settings.model)
    ours = name == standard.name or (len(name) >= LEAST_DIGITS and standard.digest.startswith(name))
    if ours:
        return _standard(settings)
    model = find_model(session, name)
    if model.digest == standard.digest:
        return _standard(settings)
    try:
        return _read(settings.data / model.folder)
    except (OSError, ValueError, KeyError) as fault:
        raise NotReady(f"the files of {model.name} cannot be read: {fault}") from fault


def own_at(session: Session, settings: Settings, hcode: str | None) -> Own:
    """The package that reads a hospital's studies now.

    Raises:
        NotReady: its files cannot be read.
    """
    live = models_at(session, hcode).live
    return _standard(settings) if live is None else own_of(session, settings, live.name)


def _standard(settings: Settings) -> Own:
    return _read(settings.model, Path(settings.model_site) if settings.model_site else None)


@cache  # packages are never changed; another is another folder
def _read(path: Path, site: Path | None = None) -> Own:
    rows = json.loads((path / "calibration.json").read_text(encoding="utf-8"))
    calibrations: Mapping[StrokeType, TypeCalibration]
    calibrations = {kind: TypeCalibration(**rows[kind.value]) for kind in StrokeType}
    known = digest(path)
    if site is not None:
        calibrations = load_site(site, known, calibrations)
    return Own(read_metadata(path)["name"], known, calibrations)
