"""Description: what DICOMweb tells of a study, read from its files once and kept.

Reading 300 headers takes half a second, so it is done after the analysis, and on demand where somebody asks
earlier. The metadata of each series lies in storage as the JSON that is sent; a row names them and holds
what searches ask for. A description belongs to one revision, so late slices make it anew.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Engine, ForeignKey
from sqlalchemy.orm import Mapped, Session, mapped_column

from pacs_gateway.dicomjson import Attributes, person_name, read_attributes
from pacs_gateway.elements import UnreadableDataSet
from service.acquisitions import note_acquisition
from service.db import Base, Json, session_scope
from service.imaging import StoredInstance
from service.series import series_of
from service.storage import Storage
from service.studies import Study, load_study

DICOMWEB = "/dicomweb"
STUDY_LEVEL = ("00080030", "00080090", "00080201", "00100021", "00101010", "00200010")
"""Tags of a study that are not among `Study`'s columns."""
SERIES_LEVEL = (
    "00080021",
    "00080031",
    "00080060",
    "0008103E",
    "00180015",
    "0020000E",
    "00200011",
    "00200060",
    "00400244",
    "00400245",
    "00400275",
)
IDENTITY = frozenset({"00080050", "00080090", "00101010"})
"""Tags outside group 0010 that may tell who somebody is."""


class Description(Base):
    """What is told of one revision of a study."""

    __tablename__ = "descriptions"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    revision: Mapped[int]
    attributes: Mapped[dict[str, Any]] = mapped_column(Json)
    """The tags of `STUDY_LEVEL`."""
    series: Mapped[list[Any]] = mapped_column(Json)
    """In order of SeriesNumber: {uid, attributes, instances, metadata: storage key}."""


@dataclass(frozen=True, slots=True)
class ToldStudy:
    """What a search tells of a study's row, under the names of its columns."""

    id: int
    revision: int
    study_instance_uid: str
    patient_id: str
    patient_name: str
    birth_date: date | None
    sex: str
    accession_number: str
    study_date: date | None
    study_description: str
    modality: str
    instances: int


@dataclass(frozen=True, slots=True)
class Told:
    """A description's attributes and series, without its row."""

    attributes: dict[str, Any]
    series: list[Any]


@dataclass(frozen=True, slots=True)
class DescribedSeries:
    """One series of a description."""

    uid: str
    attributes: Attributes
    instances: int
    metadata: str
    """Storage key of the JSON array of its instances' headers."""


def description_of(session: Session, study: Study | ToldStudy) -> Description | None:
    """The description of the study's current revision, if it was made."""
    found = session.get(Description, study.id)
    return found if found is not None and found.revision == study.revision else None


def described_series(description: Description | Told) -> list[DescribedSeries]:
    """The series of a description."""
    return [DescribedSeries(**each) for each in description.series]


def describe(engine: Engine, storage: Storage, study_id: int) -> None:
    """Read the headers of a study's current revision and keep what they say; again changes nothing."""
    with session_scope(engine, write=False) as session:
        study = load_study(session, study_id, lock=False)
        if description_of(session, study) is not None:
            return
        revision = study.revision
        headers = [
            read_headers(study, each.series_instance_uid, each.instances, storage)
            for each in series_of(session, study_id)
        ]

    # files first, then the row that points to them
    kept = [_keep(series, storage) for series in headers if series]
    kept.sort(key=lambda each: (_number(each["attributes"], "00200011"), each["uid"]))
    first = next((series[0] for series in headers if series), {})
    with session_scope(engine) as session:
        study = load_study(session, study_id)
        if study.revision != revision:
            return
        session.merge(
            Description(
                study_id=study_id,
                revision=revision,
                attributes={tag: first[tag] for tag in STUDY_LEVEL if tag in first},
                series=kept,
            )
        )
        note_acquisition(session, study, (header for series in headers for header in series))


def identity_attributes(study: Study | ToldStudy) -> Attributes:
    """Patient and study as the hub repaired them."""
    plain = {
        "00080020": ("DA", f"{study.study_date:%Y%m%d}" if study.study_date else ""),
        "00080050": ("SH", study.accession_number),
        "00081030": ("LO", study.study_description),
        "00100020": ("LO", study.patient_id),
        "00100030": ("DA", f"{study.birth_date:%Y%m%d}" if study.birth_date else ""),
        "00100040": ("CS", study.sex),
        "0020000D": ("UI", study.study_instance_uid),
    }
    attributes: Attributes = {
        tag: {"vr": vr, "Value": [value]} if value else {"vr": vr} for tag, (vr, value) in plain.items()
    }
    name = person_name(study.patient_name)
    attributes["00100010"] = {"vr": "PN", "Value": [name]} if name else {"vr": "PN"}
    return attributes


def without_identity(attributes: Attributes) -> Attributes:
    """The same without what tells who the patient is."""
    return {
        tag: value for tag, value in attributes.items() if not (tag.startswith("0010") or tag in IDENTITY)
    }


def read_headers(
    study: Study | ToldStudy, series_uid: str, instances: Sequence[Sequence[Any]], storage: Storage
) -> list[Attributes]:
    """The headers of some instances of one series, each SOP instance once, in order of InstanceNumber.

    Args:
        study: whose identity, as repaired, takes the place of what the files say.
        series_uid: their series.
        instances: as in `Series.instances`.
        storage: where their files are.
    """
    found: dict[str, Attributes] = {}
    known = identity_attributes(study)
    for uid, _, syntax, key, *_ in instances:
        if uid in found:
            continue
        place = f"{DICOMWEB}/studies/{study.study_instance_uid}/series/{series_uid}/instances/{uid}/bulkdata/"
        try:
            header = read_attributes(storage.path(key), place)
        except (UnreadableDataSet, OSError):
            continue  # the study's notes say what cannot be read; its neighbours are shown
        merged = {**header, **known, "00083002": {"vr": "UI", "Value": [syntax]}}
        found[uid] = dict(sorted(merged.items()))
    return sorted(found.values(), key=lambda header: _number(header, "00200013"))


def as_instance_rows(instances: Sequence[StoredInstance]) -> list[list[Any]]:
    """The instances in the form of `Series.instances`."""
    return [
        [each.sop_instance_uid, each.sop_class_uid, each.transfer_syntax_uid, each.storage_key, None, None]
        for each in instances
    ]


def write_json(value: object) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _keep(headers: Sequence[Attributes], storage: Storage) -> dict[str, Any]:
    first = headers[0]
    return {
        "uid": first["0020000E"]["Value"][0],
        "attributes": {tag: first[tag] for tag in SERIES_LEVEL if tag in first},
        "instances": len(headers),
        "metadata": storage.keep_bytes(write_json(headers)),
    }


def _number(attributes: Mapping[str, Any], tag: str) -> float:
    values = attributes.get(tag, {}).get("Value", [])
    return float(values[0]) if values and isinstance(values[0], int | float) else float("inf")
