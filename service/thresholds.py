"""Thresholds that a hospital's own reviews would set, with intervals; `hospital_thresholds` applies them."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.calibration import choose_thresholds
from model.stroke import StrokeType
from service.accounts import Viewer, visible_to
from service.findings import Analysis, Finding
from service.reviews import Review
from service.verdicts import Verdict

Scores = npt.NDArray[np.floating[Any]]

LEAST = 30
"""Reviewed studies with a finding, and without, below which nothing is proposed."""
SENSITIVITY, SPECIFICITY = 0.95, 0.95
RESAMPLES = 500
SEED = 8
BLEEDS = frozenset(
    kind.value
    for kind in (
        StrokeType.ANY_ICH,
        StrokeType.IPH,
        StrokeType.IVH,
        StrokeType.SAH,
        StrokeType.SDH,
        StrokeType.EDH,
    )
)


def _none() -> Scores:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The scores of one package for one finding in the studies of one hospital that radiologists reviewed."""

    positive: Scores = field(default_factory=_none)
    """Of studies that have the finding."""
    negative: Scores = field(default_factory=_none)
    present: float | None = None
    """The threshold at work in the newest of them."""

    @property
    def enough(self) -> bool:
        """Whether a threshold can be set from them."""
        return min(len(self.positive), len(self.negative)) >= LEAST

    def sensitivity(self, flag: float) -> float:
        """The share of those with the finding that a threshold flags; there must be some."""
        return float(np.mean(self.positive >= flag))


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the reviews of one hospital say of the flag threshold of one finding."""

    hcode: str
    positive: int
    negative: int
    flag: float | None
    """None where there are too few reviews to say."""
    low: float | None
    high: float | None
    """95 % interval, by bootstrap over the studies."""
    present: float | None
    """The threshold at work in the newest reviewed study."""


def propose_thresholds(
    session: Session,
    viewer: Viewer,
    digest: str,
    kind: StrokeType = StrokeType.ANY_ICH,
    *,
    hcode: str | None = None,
) -> list[Proposal]:
    """A proposal for every hospital whose radiologists have reviewed this package's results.

    What was reviewed is no random sample: flagged studies are looked at more.

    Args:
        session: A session.
        viewer: Who asks.
        digest: Of the package.
        kind: The finding.
        hcode: Only this hospital.
    """
    found = reviewed_scores(session, viewer, digest, kind, hcode=hcode)
    return [_proposal(code, reviewed) for code, reviewed in sorted(found.items())]


def propose(reviewed: Reviewed) -> float:
    """The flag threshold that `model.calibration.choose_thresholds` takes from enough reviews."""
    return _flag(reviewed.positive, reviewed.negative)


def reviewed_scores(
    session: Session, viewer: Viewer, digest: str, kind: StrokeType, *, hcode: str | None = None
) -> dict[str, Reviewed]:
    """The scores of reviewed studies by hospital; the newest word on each study counts.

    Any kind of haemorrhage is one of any haemorrhage.
    """
    withdrawn = select(Review.withdraws).where(Review.withdraws.is_not(None))
    query = (
        select(Review.hcode, Review.analysis_id, Review.present, Finding.probability, Finding.threshold)
        .join(Analysis, Analysis.id == Review.analysis_id)
        .join(Finding, (Finding.analysis_id == Analysis.id) & (Finding.stroke_type == kind))
        .where(
            Analysis.model_digest == digest,
            Review.verdict.in_([Verdict.AGREE, Verdict.CORRECT]),
            Review.id.not_in(withdrawn),
            Review.hcode.is_not(None),
            Finding.probability.is_not(None),
            visible_to(viewer, Review.hcode),
        )
        .order_by(Review.id)
    )
    if hcode is not None:
        query = query.where(Review.hcode == hcode)
    meant = BLEEDS if kind is StrokeType.ANY_ICH else {kind.value}
    standing: dict[str, dict[int, tuple[bool, float]]] = defaultdict(dict)
    at_work: dict[str, float | None] = {}
    for code, analysis, present, score, threshold in session.execute(query):
        assert code is not None, "the query leaves such reviews out"
        assert score is not None, analysis
        standing[code][analysis] = (bool(meant & set(present)), score)
        at_work[code] = threshold
    return {code: _reviewed(list(each.values()), at_work[code]) for code, each in standing.items()}


def _reviewed(studies: list[tuple[bool, float]], present: float | None) -> Reviewed:
    positive = np.array([score for has, score in studies if has])
    negative = np.array([score for has, score in studies if not has])
    return Reviewed(positive, negative, present)


def _proposal(hcode: str, reviewed: Reviewed) -> Proposal:
    positive, negative = reviewed.positive, reviewed.negative
    if not reviewed.enough:
        return Proposal(hcode, len(positive), len(negative), None, None, None, reviewed.present)
    chance = np.random.default_rng(SEED)
    drawn = [
        _flag(chance.choice(positive, len(positive)), chance.choice(negative, len(negative)))
        for _ in range(RESAMPLES)
    ]
    low, high = (float(value) for value in np.quantile(drawn, [0.025, 0.975]))
    return Proposal(hcode, len(positive), len(negative), propose(reviewed), low, high, reviewed.present)


def _flag(positive: Scores, negative: Scores) -> float:
    return choose_thresholds(positive, negative, sensitivity=SENSITIVITY, specificity=SPECIFICITY)[1]
