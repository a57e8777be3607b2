"""The package: what is in the zip, that it is written in pieces, and that its document is FHIR."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from fhir.resources.R4B.bundle import Bundle
from sqlalchemy.orm import Session

from service.accounts import OPERATOR
from service.hospital_modes import Mode, switch_mode
from service.packages import read_package, write_package
from service.result_objects import ResultObject
from service.series import series_of
from service.storage import FolderStorage
from tests.service.factories import HN
from tests.service.referring import SMALL, requested, small_study

AT = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
ADDRESS = "https://hub.example.go.th"


def packed(session: Session, tmp_path: Path) -> tuple[zipfile.ZipFile, int]:
    storage = FolderStorage(tmp_path / "storage")
    study = small_study(session)
    (series,) = series_of(session, study.id)
    key = storage.keep_bytes(b"DICM" * (1 << 19))
    series.instances = [[*row[:3], key, *row[4:]] for row in series.instances]
    session.add(
        ResultObject(
            study_id=study.id, revision=study.revision, kind="sr", 
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
            sop_instance_uid="2.25.1", series_instance_uid="2.25.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="SR", series_number=1, instance_number=1, series_description="", storage_key=key, size=1,
        )
    )  # fmt: skip
    session.flush()
    package = read_package(session, requested(session, study), storage, data=tmp_path, address=ADDRESS, at=AT)
    pieces = [piece for piece in write_package(package, storage) if piece]
    return zipfile.ZipFile(io.BytesIO(b"".join(pieces))), max(map(len, pieces))


def test_letter_document_images_and_report_are_in_it_and_no_patient_is_named(
    session: Session, tmp_path: Path
) -> None:
    archive, largest = packed(session, tmp_path)
    assert archive.testzip() is None
    assert archive.namelist() == [
        "letter.pdf",
        "bundle.json",
        *(f"DICOM/001/{n:05d}.dcm" for n in (1, 2, 3)),
        "DICOM/002/00004.dcm",
    ]
    assert archive.read("letter.pdf").startswith(b"%PDF-")
    assert archive.read("DICOM/001/00002.dcm") == b"DICM" * (1 << 19)
    assert largest < 1.1 * (1 << 20)  # two MiB an image: no file is held whole


def test_its_document_is_valid_fhir_and_whole(session: Session, tmp_path: Path) -> None:
    text = packed(session, tmp_path)[0].read("bundle.json")
    bundle = Bundle.model_validate_json(text)
    kinds = [entry.resource.get_resource_type() for entry in bundle.entry]
    assert (bundle.type, kinds[0]) == ("document", "Composition")
    assert {"Patient", "ServiceRequest", "Task", "ImagingStudy", "DiagnosticReport", "Device"} <= set(kinds)
    known = {f"{kind}/{entry.resource.id}" for kind, entry in zip(kinds, bundle.entry, strict=True)}
    for section in bundle.entry[0].resource.section:
        assert {each.reference for each in section.entry} <= known
    assert HN.encode() in text


def test_a_silent_hospitals_ai_stays_out(session: Session, tmp_path: Path) -> None:
    switch_mode(session, OPERATOR, SMALL, Mode.SILENT)
    archive, _ = packed(session, tmp_path)
    assert "DICOM/002/00004.dcm" not in archive.namelist()
    assert b"DiagnosticReport" not in archive.read("bundle.json")
