"""Where thresholds stand by hospital: in force for the package that reads there, and proposed by reviews."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import Viewer
from service.hospital_thresholds import HospitalThreshold, hospitals_with_thresholds, thresholds_in_force
from service.hospitals import list_hospitals
from service.model_gates import standard_at
from service.own_thresholds import Own
from service.settings import Settings
from service.shipped import shipped
from service.thresholds import Proposal, Reviewed, propose_thresholds, reviewed_scores


@dataclass(frozen=True, slots=True)
class Standing:
    """One finding of one package at one hospital."""

    kind: StrokeType
    flag: float
    """In force."""
    clear: float
    package_flag: float
    row: HospitalThreshold | None
    """Who set it; None where the package's own is in force."""
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class HospitalStanding:
    """One hospital and the package that reads there."""

    hcode: str
    model_name: str
    positive: int
    """Reviewed studies with any haemorrhage, and without."""
    negative: int
    rows: Sequence[HospitalThreshold]
    """The thresholds in force that are the hospital's own."""


def standings_at(session: Session, viewer: Viewer, own: Own, hcode: str) -> list[Standing]:
    """Every finding that a package answers for, at one hospital."""
    in_force = thresholds_in_force(session, own.digest, hcode)
    found = []
    for kind in own.assessed:
        row, usual = in_force.get(kind), own.calibrations[kind]
        flag = usual.flag if row is None or row.flag is None else row.flag
        proposed = propose_thresholds(session, viewer, own.digest, kind, hcode=hcode)
        proposal = proposed[0] if proposed else Proposal(hcode, 0, 0, None, None, None, None)
        found.append(Standing(kind, flag, min(usual.clear, flag), usual.flag, row, proposal))
    return found


def hospital_standings(session: Session, viewer: Viewer, settings: Settings) -> list[HospitalStanding]:
    """The hospitals that have thresholds of their own for what reads there, or reviews of it."""
    standard = shipped(settings.model)
    reads = {each.hcode: standard_at(session, each.hcode, standard) for each in list_hospitals(session)}
    reviewed = {
        digest: reviewed_scores(session, viewer, digest, StrokeType.ANY_ICH)
        for digest in {own.digest for own in reads.values()}
    }
    own_rows = hospitals_with_thresholds(session, viewer)
    found = []
    for hcode, own in reads.items():
        rows = [each for each in own_rows if (each.hcode, each.digest) == (hcode, own.digest)]
        scores = reviewed[own.digest].get(hcode)
        if rows or scores:
            scores = scores or Reviewed()
            counts = len(scores.positive), len(scores.negative)
            found.append(HospitalStanding(hcode, own.name, *counts, rows))
    return sorted(found, key=lambda each: (not each.rows, -min(each.positive, each.negative), each.hcode))
