"""The headers of a study's series and instances in the JSON model, those sent and those made."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pacs_gateway.dicomjson import Attributes
from service.db import session_scope
from service.descriptions import (
    Description,
    ToldStudy,
    describe,
    described_series,
    description_of,
    read_headers,
)
from service.imaging_search import FoundStudy
from service.result_objects import MadeObject, as_instances
from service.storage import Storage
from service.studies import Study


class Hub(Protocol):
    """The parts of the app that reading headers needs."""

    engine: Engine
    storage: Storage


def ensure_description(hub: Hub, session: Session, study: Study | ToldStudy) -> Description | None:
    """The study's description, made now where nobody has made it yet."""
    found = description_of(session, study)
    if found is None:
        describe(hub.engine, hub.storage, study.id)
        with session_scope(hub.engine, write=False) as fresh:
            found = description_of(fresh, study)
    return found


def series_attributes(hub: Hub, session: Session, found: FoundStudy) -> Iterator[Attributes]:
    """What a search tells of each series: those sent, then those made. PS3.18 table 10.6.3-4."""
    description = found.description or ensure_description(hub, session, found.study)
    for series in described_series(description) if description else ():
        yield {
            **series.attributes,
            "0020000D": {"vr": "UI", "Value": [found.study.study_instance_uid]},
            "00201209": {"vr": "IS", "Value": [series.instances]},
        }
    for rows in _by_series(found.made).values():
        yield _made_attributes(found.study, rows)


def instance_headers(
    hub: Hub, session: Session, found: FoundStudy, *, series: str | None = None
) -> Iterator[Attributes]:
    """The full header of each instance, series by series."""
    description = found.description or ensure_description(hub, session, found.study)
    for each in described_series(description) if description else ():
        if series in (None, each.uid):
            with hub.storage.open(each.metadata) as file:
                yield from json.load(file)
    for uid, rows in _by_series(found.made).items():
        if series in (None, uid):
            yield from read_headers(found.study, uid, as_instances(rows), hub.storage)


def _by_series(rows: Sequence[MadeObject]) -> dict[str, list[MadeObject]]:
    series: dict[str, list[MadeObject]] = {}
    for row in rows:
        series.setdefault(row.series_instance_uid, []).append(row)
    return series


def _made_attributes(study: ToldStudy, rows: Sequence[MadeObject]) -> Attributes:
    first = rows[0]
    values: dict[str, tuple[str, Any]] = {
        "00080060": ("CS", first.modality),
        "0008103E": ("LO", first.series_description),
        "0020000D": ("UI", study.study_instance_uid),
        "0020000E": ("UI", first.series_instance_uid),
        "00200011": ("IS", first.series_number),
        "00201209": ("IS", len(rows)),
    }
    return {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in values.items()}
