"""Grant: a hospital may see one study of another, which asked it about the study or refers the patient.

A hub hospital sees a study too that it was alerted about, because nobody nearer answered.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Select, String, bindparam, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.db import Base, Id, UtcDateTime, locked, now, words


class Because(StrEnum):
    """What a study is shown to another hospital for."""

    CONSULT = "consult"
    REFERRAL = "referral"
    ALERT = "alert"


class StudyGrant(Base):
    """One hospital's sight of one study, for one consult, referral or alert, until `until`."""

    __tablename__ = "study_grants"
    __table_args__ = (
        Index("ix_study_grants_subject", "because", "subject", "study_id", "hcode", unique=True),
        Index("ix_study_grants_hcode", "hcode", "study_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    because: Mapped[Because] = mapped_column(words(Because))
    subject: Mapped[int] = mapped_column(Id)
    """The number of the consult, the referral or the alert."""
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    until: Mapped[datetime | None]
    """Empty while no end is known; it may lie ahead."""
    granted_by: Mapped[str] = mapped_column(String(100))


def grant_study(
    session: Session, study_id: int, hcode: str, *, because: Because, subject: int, actor: str
) -> None:
    """Show a study to a hospital from now on; audited. One that it is shown already stays as it is."""
    same = _of(because, subject).where(StudyGrant.study_id == study_id, StudyGrant.hcode == hcode)
    known = session.scalar(locked(same))
    if known is not None and known.until is None:
        return
    if known is None:
        known = StudyGrant(study_id=study_id, hcode=hcode, because=because, subject=subject)
        session.add(known)
    known.since, known.until, known.granted_by = now(), None, actor
    session.flush()
    _record(session, "study.shown", known, actor)


def end_grants(
    session: Session,
    *,
    because: Because,
    subject: int,
    actor: str,
    hcode: str | None = None,
    at: datetime | None = None,
) -> None:
    """End what was granted for a consult, referral or alert, to one hospital or to all; audited.

    Args:
        session: A writing session.
        because: For which of them.
        subject: Its number.
        actor: Who ends it.
        hcode: To which hospital; None for all.
        at: When it ends; now by default, or a time ahead.
    """
    query = _of(because, subject).where(StudyGrant.until.is_(None))
    if hcode is not None:
        query = query.where(StudyGrant.hcode == hcode)
    for grant in session.scalars(locked(query)).all():
        grant.until = at or now()
        _record(session, "study.hidden", grant, actor)


def granted_studies(hcode: str) -> Select[int]:
    """The numbers of the studies that are shown to a hospital now."""
    # asked for at each execution, so that a statement may be made once for a viewer
    moment = bindparam(None, callable_=now, type_=UtcDateTime(), unique=True)
    open_now = or_(StudyGrant.until.is_(None), StudyGrant.until > moment)
    return select(StudyGrant.study_id).where(StudyGrant.hcode == hcode, open_now)


def _of(because: Because, subject: int) -> Select[StudyGrant]:
    return select(StudyGrant).where(StudyGrant.because == because, StudyGrant.subject == subject)


def _record(session: Session, action: str, grant: StudyGrant, actor: str) -> None:
    detail: audit.Detail = {
        "hcode": grant.hcode,
        "because": grant.because.value,
        "subject": grant.subject,
        "until": grant.until.isoformat() if grant.until else None,
    }
    audit.record(session, actor, action, study_id=grant.study_id, detail=detail)
