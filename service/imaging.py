"""A study's images as DICOMweb sees them: what the hospital sent and what the hub made of it, by UID."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy.orm import Session

from service.errors import NotFound
from service.result_objects import ResultObject, objects_of
from service.series import instance_of, series_of
from service.studies import Study


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One instance and where its file is."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    storage_key: str


def instances_of(
    session: Session, study: Study, *, series: str | None = None, instance: str | None = None
) -> Sequence[StoredInstance]:
    """The instances of a study, of one of its series, or a single one; each SOP instance once.

    Raises:
        NotFound: there is none.
    """
    found: dict[str, StoredInstance] = {}
    for each in chain(_sent(session, study, series, instance), _made(session, study, series, instance)):
        # of two files under one UID the first is shown; the other is told as a conflict
        found.setdefault(each.sop_instance_uid, each)
        if instance is not None:
            break
    if not found:
        what = f"instance {instance!r}" if instance else f"series {series!r}" if series else "image"
        raise NotFound(f"the study has no {what}")
    return list(found.values())


def find_instance(session: Session, study_id: int, series: str, instance: str) -> StoredInstance | None:
    """The instance that a hospital sent under these UIDs, as `instances_of` finds it, at less cost."""
    row = instance_of(session, study_id, series, instance)
    return None if row is None else StoredInstance(series, row[0], row[1], row[2], row[3])


def made_series(session: Session, study: Study) -> dict[str, list[ResultObject]]:
    """The hub's own objects of a study by series, in the order made."""
    series: dict[str, list[ResultObject]] = {}
    for row in objects_of(session, study):
        series.setdefault(row.series_instance_uid, []).append(row)
    return series


def _sent(session: Session, study: Study, only: str | None, instance: str | None) -> Iterator[StoredInstance]:
    for series in series_of(session, study.id, only=only):
        for row in series.instances:
            if instance in (None, row[0]):
                yield StoredInstance(series.series_instance_uid, row[0], row[1], row[2], row[3])


def _made(session: Session, study: Study, only: str | None, instance: str | None) -> Iterator[StoredInstance]:
    for row in objects_of(session, study):
        if only in (None, row.series_instance_uid) and instance in (None, row.sop_instance_uid):
            yield StoredInstance(
                row.series_instance_uid,
                row.sop_instance_uid,
                row.sop_class_uid,
                row.transfer_syntax_uid,
                row.storage_key,
            )
