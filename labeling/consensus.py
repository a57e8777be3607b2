"""One label from several reads: by agreement, by majority, or by an adjudicator; soft labels are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from labeling.labels import Label, Presence, findings_of
from model.stroke import StrokeType

WEIGHT = {Presence.PRESENT: 1.0, Presence.UNCERTAIN: 0.5, Presence.ABSENT: 0.0}
MAJORITY_OF = 3
"""So many readers decide by majority; two who differ go to an adjudicator."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the reads of a case come to."""

    labels: Mapping[StrokeType, int | None]
    """1 or 0; None where it is uncertain or disputed. Types that nobody spoke of are absent."""
    soft: Mapping[StrokeType, float]
    """Mean over the readers, an unsure one counts half; an adjudication does not change it."""
    disputed: tuple[StrokeType, ...] = ()
    """What an adjudicator has to decide."""
    unreadable: bool = False
    """Most readers found the study not diagnostic."""
    readers: int = field(default=0)


def agree(reads: Sequence[Label], adjudication: Label | None = None) -> Consensus:
    """The consensus of independent reads, one a reader; an adjudication decides whatever it speaks of."""
    diagnostic = [read for read in reads if read.quality.diagnostic]
    said = [findings_of(read) for read in diagnostic]
    labels: dict[StrokeType, int | None] = {}
    soft: dict[StrokeType, float] = {}
    disputed = []
    for kind in StrokeType:
        votes = [each[kind] for each in said if kind in each]
        if not votes:
            continue
        soft[kind] = sum(WEIGHT[vote] for vote in votes) / len(votes)
        winner = _winner(votes)
        if winner is None:
            disputed.append(kind)
        labels[kind] = _label(winner)
    unreadable = 2 * len(diagnostic) < len(reads)
    if len(reads) > 1 and 2 * len(diagnostic) == len(reads):
        disputed = list(StrokeType)  # half say that it cannot be read
    if adjudication is not None:
        unreadable = not adjudication.quality.diagnostic
        decided = findings_of(adjudication)
        labels |= {kind: _label(presence) for kind, presence in decided.items()}
        disputed = [kind for kind in disputed if kind not in decided and not unreadable]
    return Consensus(
        MappingProxyType(labels), MappingProxyType(soft), tuple(disputed), unreadable, len(reads)
    )


def _winner(votes: Sequence[Presence]) -> Presence | None:
    for presence in Presence:
        count = votes.count(presence)
        if count == len(votes) or (len(votes) >= MAJORITY_OF and 2 * count > len(votes)):
            return presence
    return None


def _label(presence: Presence | None) -> int | None:
    return {Presence.PRESENT: 1, Presence.ABSENT: 0}.get(presence) if presence else None
