"""HospitalThreshold: from which score a package flags a finding at one hospital, set from reviews there.

A threshold belongs to a package, a hospital and a finding: another package that comes to read there, by a
promotion or a roll-back, begins with its own, and who comes back finds what was set for it. Rows are added,
never changed; the newest counts from the next study on.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from sqlalchemy import Float, Index, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from model.stroke import StrokeType
from service import audit
from service.accounts import Permission, Viewer, visible_to
from service.arrivals import clean
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import BadRequest, Changed, NotReady, SensitivityFalls, TooFewReviews
from service.hospitals import Hospital
from service.own_thresholds import Own
from service.placements import check_places
from service.thresholds import LEAST, Reviewed, propose, reviewed_scores

LOWEST, HIGHEST = 0.02, 0.95
"""Beyond these a package would flag nearly every study, or nearly none."""
FLOOR = 0.90
"""Sensitivity on the reviewed studies that no change may lower it under, but by an administrator's word."""


class HospitalThreshold(Base):
    """One change of one threshold; the database refuses to change or delete it."""

    __tablename__ = "hospital_thresholds"
    __table_args__ = (Index("ix_hospital_thresholds_digest", "digest", "hcode", "stroke_type", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    model_name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    """Of the package; that of HUB_MODEL is in no other table."""
    hcode: Mapped[str] = mapped_column(String(5))
    stroke_type: Mapped[StrokeType] = mapped_column(words(StrokeType))
    flag: Mapped[float | None] = mapped_column(Float(53))
    """None: the package's own again."""
    before: Mapped[float] = mapped_column(Float(53))
    """What was in force until then."""
    package_flag: Mapped[float] = mapped_column(Float(53))
    """The package's own."""
    positive: Mapped[int]
    """Reviewed studies there with the finding, and without, that it rests on."""
    negative: Mapped[int]
    sensitivity_before: Mapped[float | None] = mapped_column(Float(53))
    """On those studies; None where none has the finding."""
    sensitivity: Mapped[float | None] = mapped_column(Float(53))
    overridden: Mapped[bool]
    """Whether an administrator let sensitivity fall under the floor."""
    reason: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def thresholds_in_force(
    session: Session, digest: str, hcode: str | None
) -> dict[StrokeType, HospitalThreshold]:
    """A hospital's own thresholds for a package; findings that are not in it have the package's."""
    newest = (
        select(func.max(HospitalThreshold.id))
        .where(HospitalThreshold.digest == digest, HospitalThreshold.hcode == (hcode or ""))
        .group_by(HospitalThreshold.stroke_type)
    )
    rows = session.scalars(select(HospitalThreshold).where(HospitalThreshold.id.in_(newest)))
    return {row.stroke_type: row for row in rows if row.flag is not None}


def threshold_rows(
    session: Session, viewer: Viewer, *, digest: str | None = None, hcode: str | None = None, limit: int = 200
) -> Sequence[HospitalThreshold]:
    """What was done to thresholds, newest first: of one package or of all, at one hospital or at all."""
    query = select(HospitalThreshold).where(visible_to(viewer, HospitalThreshold.hcode))
    if digest is not None:
        query = query.where(HospitalThreshold.digest == digest)
    if hcode is not None:
        query = query.where(HospitalThreshold.hcode == hcode)
    return session.scalars(query.order_by(HospitalThreshold.id.desc()).limit(limit)).all()


def hospitals_with_thresholds(session: Session, viewer: Viewer) -> Sequence[HospitalThreshold]:
    """Every threshold in force that is a hospital's own, by hospital."""
    newest = select(func.max(HospitalThreshold.id)).group_by(
        HospitalThreshold.digest, HospitalThreshold.hcode, HospitalThreshold.stroke_type
    )
    query = select(HospitalThreshold).where(
        HospitalThreshold.id.in_(newest),
        HospitalThreshold.flag.is_not(None),
        visible_to(viewer, HospitalThreshold.hcode),
    )
    return session.scalars(query.order_by(HospitalThreshold.hcode, HospitalThreshold.id)).all()


def named_thresholds(session: Session, numbers: Sequence[int | None]) -> dict[int, HospitalThreshold]:
    """The rows that findings point to, by number."""
    wanted = [number for number in numbers if number is not None]
    rows = session.scalars(select(HospitalThreshold).where(HospitalThreshold.id.in_(wanted)))
    return {row.id: row for row in rows}


def apply_threshold(
    session: Session,
    viewer: Viewer,
    own: Own,
    hcode: str,
    kind: StrokeType,
    *,
    flag: float | None = None,
    reason: str,
    seen: float | None = None,
    override: bool = False,
) -> HospitalThreshold:
    """Let a package flag a finding from another score on at one hospital, from the next study on.

    Args:
        session: A writing session.
        viewer: Who does.
        own: The package and what it answers with by itself.
        hcode: Where.
        kind: The finding.
        flag: From which score on; None for what the reviews there propose.
        reason: Why.
        seen: The threshold in force as the caller saw it, so that two do not undo each other.
        override: Let sensitivity on the reviewed studies fall under FLOOR; an administrator's.

    Raises:
        NotFound: no such hospital. NotAllowed: the viewer has no say there, or overrides and is no
        administrator. BadRequest: the package does not answer for the finding, no reason, or a value beyond
        LOWEST and HIGHEST. TooFewReviews: fewer than LEAST with it or without. SensitivityFalls: it would be
        lowered, to under FLOOR. Changed: see `seen`.
    """
    before = _begin(session, viewer, own, hcode, kind, reason, seen)
    reviewed = reviewed_scores(session, viewer, own.digest, kind, hcode=hcode).get(hcode, Reviewed())
    if not reviewed.enough:
        raise TooFewReviews(
            f"radiologists at {hcode} have reviewed {len(reviewed.positive)} studies of {own.name} with "
            f"{kind.value} and {len(reviewed.negative)} without; {LEAST} of each are needed"
        )
    flag = propose(reviewed) if flag is None else flag
    if not LOWEST <= flag <= HIGHEST:
        raise BadRequest(f"a flag threshold of {flag:g} is outside {LOWEST:g} to {HIGHEST:g}")
    then, after = reviewed.sensitivity(before), reviewed.sensitivity(flag)
    falls = after < min(FLOOR, then)
    if falls and not override:
        raise SensitivityFalls(
            f"from {flag:.3f} on {after:.1%} of {len(reviewed.positive)} reviewed studies with {kind.value} "
            f"would be flagged, with {before:.3f} {then:.1%} are; the floor is {FLOOR:.0%}"
        )
    if falls:
        viewer.must(Permission.ADMINISTER)
    return _add(
        session, viewer, own, hcode, kind, reviewed, before=before, flag=flag, reason=reason, overridden=falls
    )


def undo_threshold(
    session: Session,
    viewer: Viewer,
    own: Own,
    hcode: str,
    kind: StrokeType,
    *,
    reason: str,
    seen: float | None = None,
) -> HospitalThreshold:
    """Go back to the package's own threshold, from the next study on.

    Raises:
        NotReady: it is in force. And what `apply_threshold` raises of hospital, finding, reason and `seen`.
    """
    before = _begin(session, viewer, own, hcode, kind, reason, seen)
    if kind not in thresholds_in_force(session, own.digest, hcode):
        raise NotReady(f"{own.name} flags {kind.value} at {hcode} by its own threshold {before:.3f} already")
    reviewed = reviewed_scores(session, viewer, own.digest, kind, hcode=hcode).get(hcode, Reviewed())
    return _add(session, viewer, own, hcode, kind, reviewed, before=before, flag=None, reason=reason)


def _begin(
    session: Session,
    viewer: Viewer,
    own: Own,
    hcode: str,
    kind: StrokeType,
    reason: str,
    seen: float | None,
) -> float:
    """The threshold in force, after every check that needs no reviews."""
    check_places(session, viewer, [hcode])
    session.scalars(locked(select(Hospital).where(Hospital.hcode == hcode))).one()
    if not own.calibrations[kind].assessed:
        raise BadRequest(f"{own.name} does not answer for {kind.value}, so it has no threshold of it")
    if not clean(reason).strip():
        raise BadRequest("a change of a threshold needs a reason: it is kept in the history")
    in_force = thresholds_in_force(session, own.digest, hcode).get(kind)
    before = own.calibrations[kind].flag if in_force is None else in_force.flag
    assert before is not None, "rows in force have a value"
    # as a page shows it
    if seen is not None and not np.isclose(before, seen, rtol=0, atol=5e-4):
        raise Changed(f"{own.name} flags {kind.value} at {hcode} from {before:.3f} on now")
    return before


def _add(
    session: Session,
    viewer: Viewer,
    own: Own,
    hcode: str,
    kind: StrokeType,
    reviewed: Reviewed,
    *,
    before: float,
    flag: float | None,
    reason: str,
    overridden: bool = False,
) -> HospitalThreshold:
    counts = bool(len(reviewed.positive))
    package_flag = own.calibrations[kind].flag
    made = HospitalThreshold(
        model_name=own.name,
        digest=own.digest,
        hcode=hcode,
        stroke_type=kind,
        flag=flag,
        before=before,
        package_flag=package_flag,
        positive=len(reviewed.positive),
        negative=len(reviewed.negative),
        sensitivity_before=reviewed.sensitivity(before) if counts else None,
        sensitivity=reviewed.sensitivity(package_flag if flag is None else flag) if counts else None,
        overridden=overridden,
        reason=clean(reason).strip(),
        by=viewer.username,
    )
    session.add(made)
    session.flush()
    detail: audit.Detail = {
        "threshold": made.id,
        "digest": own.digest[:12],
        "finding": kind.value,
        "hospital": hcode,
    }
    verb = "undo" if flag is None else "apply"
    audit.record(session, viewer.username, f"threshold.{verb}", detail=detail)
    return made
