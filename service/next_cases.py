"""Next cases: studies that the model would learn most from, offered to the readers as cases.

First what radiologists and the model differ in, then what a shadow decides otherwise, then a few of those
cleared in the week before, drawn by lot, then what the model is least sure of. A study that is a case already
is not offered again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from labeling.answers import Answers
from model.stroke import StrokeType
from pacs_gateway.pseudonyms import Key
from service import audit
from service.accounts import Viewer, visible_to
from service.cases import Case, admit_case, case_of
from service.db import now
from service.disagreements import Conclusion, disagreements
from service.drift import week_of
from service.errors import AlreadyExists
from service.findings import Finding
from service.shadows import ShadowPrediction
from service.sight import find_own_study
from service.states import RESULTS, Lane, StudyState
from service.studies import Study
from service.thai_time import THAILAND

MOST = 200
LOOKED_AT = 20_000
"""The newest findings, and studies, among which the uncertain and the cleared ones are looked for."""
DRAWN = 20
"""So many of a week's cleared studies are read again: nobody would else look at them twice."""
SETTLED_OTHERWISE = (Conclusion.REVIEW_WRONG, Conclusion.BOTH_DEFENSIBLE, Conclusion.MODEL_WRONG)


class Why(StrEnum):
    """Why a study is offered."""

    DISAGREEMENT = "disagreement"
    SHADOW = "shadow"
    DRAWN = "drawn"
    """Cleared in the week before this one, and drawn by lot."""
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class NextCase:
    """One study on offer."""

    study: Study
    why: Why
    score: float | None
    """Of any haemorrhage, where the model is uncertain."""


def next_cases(
    session: Session,
    viewer: Viewer,
    *,
    limit: int = 50,
    why: Why | None = None,
    at: datetime | None = None,
) -> list[NextCase]:
    """What to label next, the most telling first; where `why` is given, only what is offered for that.

    `at` is now; only tests give another.
    """
    limit = max(1, min(limit, MOST))
    found: dict[int, NextCase] = {}
    for study, reason, score in (
        *_differed(session, viewer),
        *_shadowed(session, viewer),
        *_drawn(session, viewer, at or now()),
        *_unsure(session, viewer),
    ):
        if study.id not in found:
            found[study.id] = NextCase(study, reason, score)
    taken = set(session.scalars(select(Case.study_id).where(Case.study_id.in_(list(found)))))
    offered = [each for number, each in found.items() if number not in taken]
    return [each for each in offered if why is None or each.why is why][:limit]


def take_next(session: Session, viewer: Viewer, key: Key, uids: Collection[str]) -> Sequence[Case]:
    """Make cases of studies on offer; a person screens them, as nobody has answered for them.

    Raises:
        NotFound: the viewer sees no such study. AlreadyExists: one is a case.
    """
    offered = {each.study.id: each.why for each in next_cases(session, viewer, limit=MOST)}
    made = []
    for uid in dict.fromkeys(uids):
        study = find_own_study(session, uid, viewer)
        if case_of(session, study) is not None:
            raise AlreadyExists(f"the study {uid} is a case already")
        case = admit_case(session, viewer, uid, Answers({}, "", None), key)
        why = offered.get(study.id)
        detail: audit.Detail = {"case": case.id, "source": why.value if why else "chosen"}
        audit.record(session, viewer.username, "case.next", study_id=study.id, detail=detail)
        made.append(case)
    return made


Offer = tuple[Study, Why, float | None]


def _differed(session: Session, viewer: Viewer) -> list[Offer]:
    rows = disagreements(session, viewer, settled=None, limit=MOST)
    return [
        (row.study, Why.DISAGREEMENT, None)
        for row in rows
        if row.settlement is None or row.settlement.conclusion not in SETTLED_OTHERWISE
    ]


def _shadowed(session: Session, viewer: Viewer) -> list[Offer]:
    query = (
        select(Study)
        .join(ShadowPrediction, ShadowPrediction.study_id == Study.id)
        .where(
            ShadowPrediction.differs, ShadowPrediction.decision.is_not(None), visible_to(viewer, Study.hcode)
        )
        .order_by(ShadowPrediction.id.desc())
        .limit(MOST)
    )
    return [(study, Why.SHADOW, None) for study in session.scalars(query)]


def _drawn(session: Session, viewer: Viewer, at: datetime) -> list[Offer]:
    """The lot is a hash of week and number: who asks again is offered the same."""
    ends = datetime.combine(week_of(at), time(), tzinfo=THAILAND)
    begins = ends - timedelta(weeks=1)
    newest = session.scalar(select(func.max(Study.id))) or 0
    cleared = session.scalars(
        select(Study.id).where(
            Study.id > newest - LOOKED_AT,
            Study.state == StudyState.CLEAR,
            Study.lane == Lane.LIVE,
            Study.result_at >= begins,
            Study.result_at < ends,
            visible_to(viewer, Study.hcode),
        )
    )
    lots = sorted(cleared, key=lambda number: sha256(f"{begins:%G-W%V} {number}".encode()).digest())[:DRAWN]
    rows = {study.id: study for study in session.scalars(select(Study).where(Study.id.in_(lots)))}
    return [(rows[number], Why.DRAWN, None) for number in lots]


def _unsure(session: Session, viewer: Viewer) -> list[Offer]:
    newest = session.scalar(select(func.max(Finding.id))) or 0
    query = (
        select(Study, Finding.probability)
        .join(Finding, (Finding.study_id == Study.id) & (Finding.revision == Study.revision))
        .where(
            Finding.id > newest - LOOKED_AT,
            Finding.stroke_type == StrokeType.ANY_ICH,
            Finding.probability.between(0.1, 0.9),
            Study.state.in_(RESULTS),
            visible_to(viewer, Study.hcode),
            ~exists().where(Case.study_id == Study.id),
        )
        .order_by(func.abs(Finding.probability - 0.5), Finding.id)
        .limit(MOST)
    )
    return [(study, Why.UNCERTAIN, score) for study, score in session.execute(query)]
