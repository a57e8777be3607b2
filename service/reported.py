"""A study's rows and files as the plain values from which the gateway builds its objects."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy.orm import Session

from model.geometry import plane_normal
from model.reading import Reading, unpack
from model.stroke import Decision
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.evidence import SourceHeader, read_source
from pacs_gateway.results import (
    Algorithm,
    Box,
    KeySlice,
    Reference,
    Signature,
    SourceImage,
    Statement,
    StudyResult,
    Subject,
    Suspicion,
)
from service.findings import Analysis, analysis_of, findings_of
from service.hospitals import Hospital
from service.reviews import Review
from service.series import series_of
from service.signatures import signature_of
from service.states import StudyState
from service.storage import Storage
from service.studies import Study

SUSPECTED = frozenset({"any_ich", "iph", "ivh", "sah", "sdh", "edh"})
"""What the suspicion on the images is about."""


def study_result(
    session: Session,
    study: Study,
    storage: Storage,
    *,
    model: tuple[str, str],
    review: Review | None = None,
) -> StudyResult:
    """Everything that is said of the study's current revision.

    Args:
        session: A reading session.
        study: In a final state other than failed.
        storage: Where its files are.
        model: Name and digest of the package at work, for a study that was refused before it was read.
        review: The radiologist's word that makes the report final.
    """
    assert study.result_at is not None, study.id
    analysis = analysis_of(session, study)
    instances = {
        row[0]: (series.series_instance_uid, row)
        for series in series_of(session, study.id)
        for row in series.instances
    }
    headers = _Headers(storage, {uid: row[3] for uid, (_, row) in instances.items()})
    reading = None
    if analysis is not None and analysis.reading is not None:
        with storage.open(analysis.reading) as file:
            reading = unpack(file.read())
    images = _images(reading, headers) if reading else []
    name, digest = (analysis.model_name, analysis.model_digest) if analysis else model
    statements = [
        Statement(each.stroke_type.value, each.decision.value, each.probability, each.threshold, each.reason)
        for each in (findings_of(session, analysis) if analysis else [])
    ]
    return StudyResult(
        subject=_subject(study, headers.any()),
        revision=study.revision,
        state=StudyState(study.state).value,
        algorithm=Algorithm(name, name.rpartition("-")[2] or name, digest),
        at=study.result_at,
        references=[Reference(row[1], uid, series) for uid, (series, row) in instances.items()],
        images=images,
        statements=statements,
        reasons=list(study.reasons),
        notes=[note["text"] for note in (analysis.notes if analysis else study.notes)],
        key_slices=_key_slices(analysis, reading, images, storage) if analysis and reading else [],
        suspicion=_suspicion(reading, statements),
        signature=_signature(session, study, review),
    )


class _Headers:
    """The headers of a study's files, each read once and only when asked for."""

    def __init__(self, storage: Storage, keys: dict[str, str]) -> None:
        self._storage, self._keys = storage, keys
        self._read: dict[str, SourceHeader | None] = {}

    def of(self, uid: str) -> SourceHeader | None:
        if uid not in self._read:
            try:
                self._read[uid] = read_source(self._storage.path(self._keys[uid]))
            except (UnreadableDataSet, KeyError):
                self._read[uid] = None
        return self._read[uid]

    def any(self) -> SourceHeader | None:
        """Of the first file that can be read."""
        return next((found for uid in self._keys if (found := self.of(uid)) is not None), None)


def _subject(study: Study, header: SourceHeader | None) -> Subject:
    return Subject(
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        issuer=study.hcode or "",
        patient_name=study.patient_name,
        birth_date=study.birth_date,
        sex=study.sex,
        accession_number=study.accession_number,
        study_date=study.study_date,
        study_time=header.study_time if header else "",
        study_id=header.study_id if header else "",
        study_description=study.study_description,
        referring_physician_name=header.referring_physician_name if header else "",
    )


def _images(reading: Reading, headers: _Headers) -> list[SourceImage]:
    x, y, z, u, v, w = reading.orientation
    images = []
    for number, uid in enumerate(reading.sop_instance_uids):
        source = headers.of(uid)
        if source is None:
            return []
        across, down, up = (float(value) for value in reading.origins[number])
        images.append(
            SourceImage(
                sop_class_uid=source.header.sop_class_uid,
                sop_instance_uid=uid,
                series_instance_uid=source.header.series_instance_uid,
                rows=reading.shape[0],
                columns=reading.shape[1],
                position=(across, down, up),
                orientation=(x, y, z, u, v, w),
                pixel_spacing=reading.pixel_spacing,
                thickness=source.header.slice_thickness,
                instance_number=source.header.instance_number,
                frame=reading.frames[number] if reading.frames else None,
                frames=reading.frame_count,
                frame_of_reference_uid=source.frame_of_reference_uid,
            )
        )
    return images


def _key_slices(
    analysis: Analysis, reading: Reading, images: list[SourceImage], storage: Storage
) -> list[KeySlice]:
    return [
        KeySlice(images[index], index + 1, _box(analysis, reading, index), _picture(storage, key))
        for index, key in analysis.key_slices
        if index < len(images)
    ]


def _box(analysis: Analysis, reading: Reading, index: int) -> Box | None:
    """The box of the scored slice that this one is; frames of one file are told apart by where they lie."""
    uid = reading.sop_instance_uids[index]
    along = float(reading.origins[index] @ plane_normal(reading.orientation))
    same = [each for each in analysis.slices if each["sop_instance_uid"] == uid]
    nearest = min(same, key=lambda each: abs(float(each["z_mm"]) - along), default=None)
    if nearest is None or nearest["box"] is None:
        return None
    left, top, right, bottom = nearest["box"]
    return left, top, right, bottom


def _picture(storage: Storage, key: str) -> NDArray[np.uint8]:
    with storage.open(key) as file, Image.open(io.BytesIO(file.read())) as picture:
        return np.asarray(picture.convert("RGB"))


def _suspicion(reading: Reading | None, statements: list[Statement]) -> Suspicion | None:
    """Drawn only where a haemorrhage is flagged or undecided: marks on a study called clear would mislead."""
    open_questions = (Decision.FLAG.value, Decision.REVIEW.value)
    suspected = any(each.kind in SUSPECTED and each.decision in open_questions for each in statements)
    if reading is None or not reading.masks or not suspected:
        return None
    return Suspicion(reading.masks, reading.volume_ml)


def _signature(session: Session, study: Study, review: Review | None) -> Signature | None:
    if review is None:
        return None
    hospital = session.get(Hospital, study.hcode) if study.hcode else None
    signed = signature_of(session, review)
    return Signature(
        reviewer=signed.signer if signed else review.reviewer,
        organisation=hospital.name_en if hospital else "Health Region 8",
        verdict=review.verdict.value,
        present=review.present,
        comment=review.comment,
        at=signed.at if signed else review.at,
    )
