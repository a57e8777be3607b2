"""Grant: a hospital may see one study of another, which asked it about the study or refers the patient."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, Select, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.db import Base, Id, UtcDateTime, locked, now, words


class Because(StrEnum):
    """What a study is shown to another hospital for."""

    CONSULT = "consult"
    REFERRAL = "referral"


class StudyGrant(Base):
    """One hospital's sight of one study, for one consult or one referral, while `until` is empty."""

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
    """The number of the consult or the referral."""
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    until: Mapped[datetime | None]
    granted_by: Mapped[str] = mapped_column(String(100))


def grant_study(
    session: Session, study_id: int, hcode: str, *, because: Because, subject: int, viewer: Viewer
) -> None:
    """Show a study to a hospital from now on; audited. One that it is shown already stays as it is."""
    same = _of(because, subject).where(StudyGrant.study_id == study_id, StudyGrant.hcode == hcode)
    known = session.scalar(locked(same))
    if known is not None and known.until is None:
        return
    if known is None:
        known = StudyGrant(study_id=study_id, hcode=hcode, because=because, subject=subject)
        session.add(known)
    known.since, known.until, known.granted_by = now(), None, viewer.username
    session.flush()
    _record(session, "study.shown", known, viewer)


def end_grants(
    session: Session, *, because: Because, subject: int, viewer: Viewer, hcode: str | None = None
) -> None:
    """End what was granted for a consult or a referral, to one hospital or to all; audited."""
    query = _of(because, subject).where(StudyGrant.until.is_(None))
    if hcode is not None:
        query = query.where(StudyGrant.hcode == hcode)
    for grant in session.scalars(locked(query)).all():
        grant.until = now()
        _record(session, "study.hidden", grant, viewer)


def granted_studies(hcode: str) -> Select[int]:
    """The numbers of the studies that are shown to a hospital now."""
    return select(StudyGrant.study_id).where(StudyGrant.hcode == hcode, StudyGrant.until.is_(None))


def _of(because: Because, subject: int) -> Select[StudyGrant]:
    return select(StudyGrant).where(StudyGrant.because == because, StudyGrant.subject == subject)


def _record(session: Session, action: str, grant: StudyGrant, viewer: Viewer) -> None:
    detail: audit.Detail = {"hcode": grant.hcode, "because": grant.because.value, "subject": grant.subject}
    audit.record(session, viewer.username, action, study_id=grant.study_id, detail=detail)
