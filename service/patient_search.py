"""Find a person's studies by HN or by a part of the name, in any of its component groups."""

from collections.abc import Sequence

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from service.accounts import Viewer, visible_to
from service.arrivals import clean
from service.studies import Study

SHORTEST = 2
"""Characters; a single letter would find nearly everybody."""


def find_patients(session: Session, viewer: Viewer, text: str, *, limit: int = 50) -> Sequence[Study]:
    """Studies whose HN begins with `text` or whose name holds every word of it, newest first."""
    words = clean(text).split()
    if sum(map(len, words)) < SHORTEST:
        return ()
    name = func.lower(Study.patient_name)
    by_name = and_(*(name.like(f"%{_literal(word.lower())}%", escape="\\") for word in words))
    by_number = Study.patient_id.like(f"{_literal(words[0])}%", escape="\\") if len(words) == 1 else None
    wanted = by_name if by_number is None else or_(by_number, by_name)
    query = select(Study).where(visible_to(viewer, Study.hcode), wanted)
    return session.scalars(query.order_by(Study.id.desc()).limit(limit)).all()


def other_studies(session: Session, viewer: Viewer, study: Study, *, limit: int = 20) -> Sequence[Study]:
    """Further studies of the same person that `viewer` may see, newest first.

    In one hospital the HN tells who it is. Elsewhere name, sex and day of birth must all agree, and it is for
    the reader to judge whether it is the same person.
    """
    same_number = (Study.hcode == study.hcode) & (Study.patient_id == study.patient_id)
    conditions = [same_number] if study.patient_id else []
    if study.patient_name and study.birth_date:
        conditions.append(
            (Study.patient_name == study.patient_name)
            & (Study.birth_date == study.birth_date)
            & (Study.sex == study.sex)
        )
    if not conditions:
        return ()
    query = select(Study).where(visible_to(viewer, Study.hcode), Study.id != study.id, or_(*conditions))
    return session.scalars(query.order_by(Study.id.desc()).limit(limit)).all()


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
