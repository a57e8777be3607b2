"""ResultObject: a DICOM instance that the hub made of a result, kept beside what the hospital sent.

They are not among the study's `Series`, which late slices replace. An object is superseded when its study has
a later revision; a preliminary report also once the final one is there.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Index, Row, String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db import Base, Id, UtcDateTime, now
from service.studies import Study

if TYPE_CHECKING:
    from pacs_gateway.objects import ResultFile


class ResultObject(Base):
    """One instance; kinds are sr, seg, gsps, sc and pdf."""

    __tablename__ = "result_objects"
    __table_args__ = (Index("ix_result_objects_study_id_revision", "study_id", "revision"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    revision: Mapped[int]
    kind: Mapped[str] = mapped_column(String(8))
    final: Mapped[bool] = mapped_column(default=False)
    """A report that a radiologist has signed."""
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    modality: Mapped[str] = mapped_column(String(16))
    series_number: Mapped[int]
    instance_number: Mapped[int]
    series_description: Mapped[str] = mapped_column(String(64))
    storage_key: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


MadeObject = Row[*tuple[Any, ...]]
"""Columns of a `ResultObject`, where its object would cost more than it is worth."""


def record_object(
    session: Session,
    study: Study,
    file: "ResultFile",
    storage_key: str,
    *,
    revision: int,
    final: bool = False,
) -> ResultObject:
    """Write down an object that storage holds; the same instance again changes nothing."""
    known = session.scalar(select(ResultObject).where(ResultObject.sop_instance_uid == file.sop_instance_uid))
    if known is not None:
        return known
    made = ResultObject(
        study_id=study.id,
        revision=revision,
        kind=file.kind,
        final=final,
        sop_class_uid=file.sop_class_uid,
        sop_instance_uid=file.sop_instance_uid,
        series_instance_uid=file.series_instance_uid,
        transfer_syntax_uid=file.transfer_syntax_uid,
        modality=file.modality,
        series_number=file.series_number,
        instance_number=file.instance_number,
        series_description=file.series_description,
        storage_key=storage_key,
        size=len(file.content),
    )
    session.add(made)
    session.flush()
    return made


_OF_STUDY = select(ResultObject).where(ResultObject.study_id == bindparam("study")).order_by(ResultObject.id)


def objects_of(session: Session, study: Study, *, superseded: bool = False) -> Sequence[ResultObject]:
    """The objects of a study in the order made: those that stand, or also those superseded."""
    rows = session.scalars(_OF_STUDY, {"study": study.id}).all()
    return rows if superseded else [row for row in rows if not is_superseded(row, study, rows)]


def has_final(session: Session, study: Study, *, since: datetime) -> bool:
    """Whether the current result has a final report made since then."""
    query = select(ResultObject.id).where(
        ResultObject.study_id == study.id,
        ResultObject.revision == study.revision,
        ResultObject.final,
        ResultObject.created_at >= since,
    )
    return session.scalar(query.limit(1)) is not None


def is_superseded(row: ResultObject, study: Study, rows: Sequence[ResultObject]) -> bool:
    """Whether a later revision, or the final report, has taken its place."""
    if row.revision != study.revision:
        return True
    later = (each for each in rows if each.kind == row.kind and each.revision == row.revision)
    return row.kind == "sr" and any(each.final and each.id > row.id for each in later)


def as_instances(rows: Sequence[ResultObject | MadeObject]) -> list[list[Any]]:
    """The rows in the form of `Series.instances`."""
    return [
        [
            row.sop_instance_uid,
            row.sop_class_uid,
            row.transfer_syntax_uid,
            row.storage_key,
            row.instance_number,
            None,
        ]
        for row in rows
    ]


def own_uids(session: Session, sop_instance_uids: Collection[str]) -> set[str]:
    """Which of these instances the hub made itself: a PACS that forwards everything brings them back."""
    found: set[str] = set()
    uids = [uid for uid in sop_instance_uids if uid.startswith("2.25.")]
    for start in range(0, len(uids), 500):
        query = select(ResultObject.sop_instance_uid).where(
            ResultObject.sop_instance_uid.in_(uids[start : start + 500])
        )
        found |= set(session.scalars(query))
    return found


def study_of(session: Session, sop_instance_uids: Collection[str]) -> Study:
    """The study that some of the hub's own instances belong to."""
    return session.scalars(
        select(Study)
        .join(ResultObject, ResultObject.study_id == Study.id)
        .where(ResultObject.sop_instance_uid.in_(list(sop_instance_uids)[:500]))
        .limit(1)
    ).one()
