"""The stroke clock: what happened to a patient when, from the door to the needle or to the next hospital.

What the hub hears of, it knows by itself: from the images, its own rows and the audit log, in which every
consult, referral and alert leaves its entry. Only the rest is typed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.acquisitions import Acquisition, clock_of
from service.audit import AuditEntry
from service.milestones import INTERVALS, Interval, Milestone
from service.studies import HUB, Study
from service.typed_times import typed_times


class Source(StrEnum):
    """How a moment is known."""

    SCANNER = "scanner"
    """From the images, by the scanner's clock, mended where it was ahead."""
    HUB = "hub"
    TYPED = "typed"


@dataclass(frozen=True, slots=True)
class Moment:
    """One milestone of one study."""

    milestone: Milestone
    at: datetime
    source: Source
    by: str = ""
    """Who did it, or typed it."""


@dataclass(frozen=True, slots=True)
class Span:
    """One interval as it was."""

    interval: Interval
    minutes: float
    """Negative where the times contradict each other; such a span counts in no figure."""

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None where there is none, or the times contradict each other."""
        if self.interval.minutes is None or self.minutes < 0:
            return None
        return self.minutes <= self.interval.minutes


FIRST: Final = {
    "alert.raised": Milestone.ALERT,
    "alert.acknowledged": Milestone.ALERT_ANSWERED,
    "study.agree": Milestone.READ,
    "study.correct": Milestone.READ,
    "study.not_assessable": Milestone.READ,
    "report.added": Milestone.REPORT,
    "consult.asked": Milestone.CONSULT_ASKED,
    "consult.accepted": Milestone.CONSULT_ACCEPTED,
    "consult.answered": Milestone.CONSULT_ANSWERED,
    "referral.requested": Milestone.REFERRAL_REQUESTED,
}
"""Entries of the audit log of which the first counts."""
LAST: Final = {
    "referral.accepted": Milestone.REFERRAL_ACCEPTED,
    "referral.departed": Milestone.DEPARTED,
    "referral.arrived": Milestone.ARRIVED,
    "referral.completed": Milestone.COMPLETED,
}
"""Those of which the last counts: a patient may be referred twice, and the last way is the one they went."""
LOOKED: Final = "study.read"

Timeline = Mapping[Milestone, Moment]
"""In the order of the milestones."""

BATCH = 500


def timeline_of(session: Session, study: Study) -> Timeline:
    """What is known of one study."""
    return timelines(session, [study])[study.id]


def timelines(session: Session, studies: Sequence[Study]) -> dict[int, Timeline]:
    """What is known of several, by their numbers."""
    found: dict[int, Timeline] = {}
    for start in range(0, len(studies), BATCH):
        found |= _read(session, studies[start : start + BATCH])
    return found


def spans_of(timeline: Timeline) -> list[Span]:
    """The intervals of which both ends are known."""
    return [
        Span(each, (timeline[each.end].at - timeline[each.start].at).total_seconds() / 60)
        for each in INTERVALS
        if each.start in timeline and each.end in timeline
    ]


def _read(session: Session, studies: Sequence[Study]) -> dict[int, Timeline]:
    numbers = [study.id for study in studies]
    entries, scans, typed = (
        _entries(session, numbers),
        _scans(session, numbers),
        typed_times(session, numbers),
    )
    made: dict[int, Timeline] = {}
    for study in studies:
        moments = [*_of_rows(study), *scans.get(study.id, ())]
        moments += _of_entries(entries[study.id])
        moments += [
            Moment(milestone, entry.at, Source.TYPED, entry.typed_by)
            for milestone, entry in typed[study.id].items()
            if entry.at is not None
        ]
        by_milestone = {each.milestone: each for each in moments}
        made[study.id] = {each: by_milestone[each] for each in Milestone if each in by_milestone}
    return made


def _entries(session: Session, numbers: Sequence[int]) -> dict[int, list[AuditEntry]]:
    entries: dict[int, list[AuditEntry]] = {number: [] for number in numbers}
    # a study may be looked at a thousand times: only the first look after the answer is read
    looks = (
        select(func.min(AuditEntry.id))
        .join(Study, Study.id == AuditEntry.study_id)
        .where(
            AuditEntry.study_id.in_(numbers),
            AuditEntry.action == LOOKED,
            AuditEntry.actor != HUB,
            AuditEntry.at >= Study.result_at,
        )
        .group_by(AuditEntry.study_id)
    )
    done = AuditEntry.study_id.in_(numbers) & AuditEntry.action.in_([*FIRST, *LAST])
    for query in (select(AuditEntry).where(done), select(AuditEntry).where(AuditEntry.id.in_(looks))):
        for entry in session.scalars(query.order_by(AuditEntry.id)):
            entries[entry.study_id or 0].append(entry)
    return entries


def _scans(session: Session, numbers: Sequence[int]) -> dict[int, list[Moment]]:
    found = session.scalars(select(Acquisition).where(Acquisition.study_id.in_(numbers))).all()
    ahead = {scanner: clock_of(session, scanner).ahead for scanner in {each.scanner for each in found}}
    return {
        each.study_id: [Moment(Milestone.SCAN, each.first_at - ahead[each.scanner], Source.SCANNER)]
        for each in found
    }


def _of_rows(study: Study) -> Iterator[Moment]:
    yield Moment(Milestone.FIRST_SLICE, study.first_received_at, Source.HUB)
    yield Moment(Milestone.LAST_SLICE, study.last_received_at, Source.HUB)
    if study.result_at is not None:
        yield Moment(Milestone.RESULT, study.result_at, Source.HUB)


def _of_entries(entries: Iterable[AuditEntry]) -> Iterator[Moment]:
    seen: dict[Milestone, AuditEntry] = {}
    for entry in entries:
        if entry.action in LAST:
            seen[LAST[entry.action]] = entry
        else:
            seen.setdefault(FIRST.get(entry.action, Milestone.OPENED), entry)
    for milestone, entry in seen.items():
        yield Moment(milestone, entry.at, Source.HUB, "" if entry.actor == HUB else entry.actor)
