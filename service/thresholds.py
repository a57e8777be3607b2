"""Thresholds that a hospital's own reviews would set, with intervals; proposed here, applied by nobody."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.calibration import choose_thresholds
from model.stroke import StrokeType
from service.accounts import Viewer, visible_to
from service.findings import Analysis, Finding
from service.reviews import Review
from service.verdicts import Verdict

LEAST = 30
"""Reviewed studies with a haemorrhage, and without, below which nothing is proposed."""
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


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the reviews of one hospital say of the flag threshold for any haemorrhage."""

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
    session: Session, viewer: Viewer, digest: str, *, hcode: str | None = None
) -> list[Proposal]:
    """A proposal for every hospital whose radiologists have reviewed this package's results.

    What was reviewed is no random sample: flagged studies are looked at more. The threshold is the one that
    `model.calibration.choose_thresholds` would take.

    Args:
        session: A session.
        viewer: Who asks.
        digest: Of the package.
        hcode: Only this hospital.
    """
    withdrawn = select(Review.withdraws).where(Review.withdraws.is_not(None))
    query = (
        select(Review.hcode, Review.analysis_id, Review.present, Finding.probability, Finding.threshold)
        .join(Analysis, Analysis.id == Review.analysis_id)
        .join(Finding, (Finding.analysis_id == Analysis.id) & (Finding.stroke_type == StrokeType.ANY_ICH))
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
    standing: dict[str, dict[int, tuple[bool, float]]] = defaultdict(dict)  # the newest word on each counts
    at_work: dict[str, float | None] = {}
    for code, analysis, present, score, threshold in session.execute(query):
        assert code is not None, "the query leaves such reviews out"
        assert score is not None, analysis
        standing[code][analysis] = (bool(BLEEDS & set(present)), score)
        at_work[code] = threshold
    return [
        _propose(code, list(studies.values()), at_work[code]) for code, studies in sorted(standing.items())
    ]


def _propose(hcode: str, studies: list[tuple[bool, float]], present: float | None) -> Proposal:
    positive = np.array([score for bleeds, score in studies if bleeds])
    negative = np.array([score for bleeds, score in studies if not bleeds])
    if min(len(positive), len(negative)) < LEAST:
        return Proposal(hcode, len(positive), len(negative), None, None, None, present)
    chance = np.random.default_rng(SEED)
    drawn = [
        choose_thresholds(
            chance.choice(positive, len(positive)),
            chance.choice(negative, len(negative)),
            sensitivity=SENSITIVITY,
            specificity=SPECIFICITY,
        )[1]
        for _ in range(RESAMPLES)
    ]
    flag = choose_thresholds(positive, negative, sensitivity=SENSITIVITY, specificity=SPECIFICITY)[1]
    low, high = (float(value) for value in np.quantile(drawn, [0.025, 0.975]))
    return Proposal(hcode, len(positive), len(negative), flag, low, high, present)
