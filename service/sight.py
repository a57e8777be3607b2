"""Sight: which studies a viewer may see (their hospital's own, and those it was shown), which are their own.

Whoever only looks takes `find_study`; whoever changes a study, or reads who saw it, takes `find_own_study`.
Who is to read a study blind sees it in no list, and is told so where they ask for it (`blindness`).
"""

from functools import lru_cache

from sqlalchemy import ColumnElement, Select, bindparam, or_, select
from sqlalchemy.orm import Session

from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.errors import NotFound, StillBlind
from service.grants import granted_studies
from service.studies import Study

_BY_UID = select(Study).where(Study.study_instance_uid == bindparam("uid"))
BLIND = "you have this study to read blind; read it first, or open it for care on its page"
VIEWERS = 256
"""For so many the statement of `find_study_number` is kept; it follows from the viewer alone."""


def visible_studies(viewer: Viewer) -> ColumnElement[bool]:
    """The condition on `Study` for everything that the viewer may look at."""
    from service.blindness import not_blind  # it is about cases, which import this

    return _within_sight(viewer) & not_blind(viewer)


def find_study(session: Session, study_instance_uid: str, viewer: Viewer) -> Study:
    """The study, if there is one and `viewer` may look at it.

    Raises:
        NotFound: otherwise; the two are not told apart.
        StillBlind: the viewer has it to read blind, and has not yet.
    """
    return _find(session, study_instance_uid, viewer, _within_sight(viewer))


def find_study_number(session: Session, study_instance_uid: str, viewer: Viewer) -> int:
    """The number of the study that `find_study` finds, without the rest of its row.

    Raises:
        NotFound, StillBlind: see `find_study`.
    """
    found = (
        session.connection().execute(_number_for(viewer), {"uid": clean(study_instance_uid)}).one_or_none()
    )
    if found is None:
        raise NotFound(f"no study {study_instance_uid!r}")
    number, readable = found
    if not readable:
        raise StillBlind(BLIND)
    return int(number)


def find_own_study(session: Session, study_instance_uid: str, viewer: Viewer) -> Study:
    """The study, if it is one of the viewer's hospital's own, or the viewer sees the region.

    Raises:
        NotFound: otherwise, also for a study that the hospital was only shown.
        StillBlind: see `find_study`.
    """
    return _find(session, study_instance_uid, viewer, visible_to(viewer, Study.hcode))


def sees(session: Session, viewer: Viewer, study: Study) -> bool:
    """Whether the viewer may look at the study."""
    query = select(Study.id).where(Study.id == study.id, visible_studies(viewer))
    return session.scalar(query) is not None


def owns(viewer: Viewer, study: Study) -> bool:
    """Whether the study is one of those that the viewer may change."""
    return viewer.sees_region or (study.hcode is not None and study.hcode == viewer.hcode)


def _within_sight(viewer: Viewer) -> ColumnElement[bool]:
    own = visible_to(viewer, Study.hcode)
    if viewer.sees_region or viewer.hcode is None:
        return own
    return or_(own, Study.id.in_(granted_studies(viewer.hcode)))


@lru_cache(VIEWERS)
def _number_for(viewer: Viewer) -> Select[int, bool]:
    """The statement for the number of a study in the viewer's sight, by UID, and whether it may be read."""
    from service.blindness import not_blind

    return select(Study.id, not_blind(viewer)).where(
        Study.study_instance_uid == bindparam("uid"), _within_sight(viewer)
    )


def _find(session: Session, study_instance_uid: str, viewer: Viewer, seen: ColumnElement[bool]) -> Study:
    from service.blindness import is_blind

    if study := session.scalar(_BY_UID.where(seen), {"uid": clean(study_instance_uid)}):
        if is_blind(session, viewer, study):
            raise StillBlind(BLIND)
        return study
    raise NotFound(f"no study {study_instance_uid!r}")
