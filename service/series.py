"""Series: the instances of a study's current revision, and where their files are kept."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, Text, UniqueConstraint, bindparam, cast, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.arrivals import clean
from service.db import Base, Id, Json

if TYPE_CHECKING:
    from pacs_gateway.arrivals import ReceivedInstance


class Series(Base):
    """One series of the study's current revision."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    series_instance_uid: Mapped[str] = mapped_column(Text)
    instances: Mapped[list[Any]] = mapped_column(Json)
    """Lists of [sop_instance_uid, sop_class_uid, transfer_syntax_uid, storage key, instance_number or None,
    image position (x, y, z) in mm or None], in the order received."""


# made once: every frame that a viewer asks for begins with it
_OF_STUDY = select(Series).where(Series.study_id == bindparam("study")).order_by(Series.id)
_ONE = _OF_STUDY.where(Series.series_instance_uid == bindparam("series"))
_ROWS = Series.__table__.c
_TEXT = select(cast(_ROWS.instances, Text)).where(
    _ROWS.study_id == bindparam("study"), _ROWS.series_instance_uid == bindparam("series")
)
_DECODER = json.JSONDecoder()


def series_of(session: Session, study_id: int, *, only: str | None = None) -> Sequence[Series]:
    """The study's series, in the order received, or the one of this UID alone."""
    if only is None:
        return session.scalars(_OF_STUDY, {"study": study_id}).all()
    return session.scalars(_ONE, {"study": study_id, "series": only}).all()


def instance_of(
    session: Session, study_id: int, series_instance_uid: str, sop_instance_uid: str
) -> list[Any] | None:
    """One instance as `Series.instances` holds it, the first of its UID; its neighbours are not decoded."""
    text = session.connection().scalar(_TEXT, {"study": study_id, "series": series_instance_uid}) or ""
    at = text.find("[" + json.dumps(sop_instance_uid, ensure_ascii=False) + ",")
    if at < 0:
        return None
    row: list[Any] = _DECODER.raw_decode(text, at)[0]
    return row


def storage_keys(session: Session, study_id: int) -> list[str]:
    """The storage key of every file of the study, each once."""
    keys = (instance[3] for series in series_of(session, study_id) for instance in series.instances)
    return list(dict.fromkeys(keys))


def replace_series(
    session: Session, study_id: int, instances: "Iterable[ReceivedInstance]", stored: Mapping[str, str]
) -> None:
    """Make the study's series those of `instances`.

    Args:
        session: A writing session.
        study_id: The study.
        instances: Every instance of the arrived set.
        stored: Storage key by the SHA-256 of each instance.

    Raises:
        KeyError: an instance has no key: it must be kept before it is registered.
    """
    arrived = _by_series(instances, stored)
    known = {series.series_instance_uid: series for series in series_of(session, study_id)}
    for uid in known.keys() - arrived.keys():
        session.delete(known[uid])
    for uid, rows in arrived.items():
        if uid in known:
            known[uid].instances = rows
        else:
            session.add(Series(study_id=study_id, series_instance_uid=uid, instances=rows))
    session.flush()


def stack_of(series: Sequence[Series]) -> tuple[str, list[str]] | None:
    """The largest series' UID, and its instances' from below to above; None where nothing was received.

    What has no position goes by its number.
    """
    if not series:
        return None
    largest = max(series, key=lambda each: (sum(row[5] is not None for row in each.instances), -each.id))
    rows = sorted(largest.instances, key=lambda row: [*(row[5] or [0.0, 0.0, 0.0])[2:], row[4] or 0])
    return largest.series_instance_uid, [row[0] for row in rows]


def _by_series(
    instances: "Iterable[ReceivedInstance]", stored: Mapping[str, str]
) -> dict[str, list[list[Any]]]:
    series: dict[str, list[list[Any]]] = {}
    for each in instances:
        series.setdefault(clean(each.series_instance_uid), []).append(
            [
                clean(each.sop_instance_uid),
                clean(each.header.sop_class_uid),
                clean(each.header.transfer_syntax_uid),
                stored[each.sha256],
                each.header.instance_number,
                _numbers(each.header.position),
            ]
        )
    return series


def _numbers(position: Sequence[float] | None) -> list[float] | None:
    return None if position is None else [float(value) for value in position]
