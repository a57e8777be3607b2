"""A copy under another hospital's number: what changes, what stays byte by byte, and who can tell."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.reconcile import Reconciled, reconcile
from tests.pacs import make_slice

AT = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
TO = Reconciled(patient_id="650012", issuer="10671", original_issuer="11014", at=AT)


def copied(tmp_path: Path, to: Reconciled = TO, **attributes: Any) -> tuple[Dataset, Dataset]:
    source, target = tmp_path / "source.dcm", tmp_path / "copy.dcm"
    make_slice(**{"PatientID": "0012345", **attributes}).save_as(source, enforce_file_format=True)
    reconcile(source, target, to)
    return dcmread(source), dcmread(target)


def test_only_the_number_its_issuer_and_the_notes_of_it_change(tmp_path: Path) -> None:
    before, after = copied(tmp_path, PatientName="A^B", PatientAge="060Y")
    changed = {"PatientID", "IssuerOfPatientID", "OtherPatientIDsSequence", "OriginalAttributesSequence"}
    assert (after.PatientID, after.IssuerOfPatientID) == ("650012", "10671")
    for element in before:
        if element.keyword not in changed:
            assert after[element.tag] == element, element.keyword
    assert {each.keyword for each in after} - {each.keyword for each in before} <= changed
    assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID


def test_the_original_number_stays_with_its_hospital(tmp_path: Path) -> None:
    _, after = copied(tmp_path)
    other = after.OtherPatientIDsSequence[0]
    assert (other.PatientID, other.IssuerOfPatientID, other.TypeOfPatientID) == ("0012345", "11014", "TEXT")
    note = after.OriginalAttributesSequence[0]
    assert note.ReasonForTheAttributeModification == "COERCE"
    assert note.AttributeModificationDateTime == "20261128100000"
    assert note.ModifiedAttributesSequence[0].PatientID == "0012345"


def test_numbers_that_were_there_before_are_kept(tmp_path: Path) -> None:
    older = Dataset()
    older.PatientID, older.IssuerOfPatientID, older.TypeOfPatientID = "7", "10705", "TEXT"
    _, after = copied(tmp_path, OtherPatientIDsSequence=[older], IssuerOfPatientID="11015")
    assert [(each.PatientID, each.IssuerOfPatientID) for each in after.OtherPatientIDsSequence] == [
        ("7", "10705"),
        ("0012345", "11015"),
    ]


@pytest.mark.parametrize(
    ("codec", "declared", "said"),
    [
        ("cp874", "ISO_IR 100", "ISO_IR 166"),
        ("utf-8", "ISO_IR 100", "ISO_IR 192"),
        ("cp874", "ISO_IR 166", "ISO_IR 166"),
    ],
)
def test_a_thai_name_arrives_readable_whatever_was_declared(
    tmp_path: Path, codec: str, declared: str, said: str
) -> None:
    name = "สมหญิง^ใจดี"
    source, target = tmp_path / "source.dcm", tmp_path / "copy.dcm"
    ds = make_slice(PatientID="1", SpecificCharacterSet=declared, PatientName="XXXX")
    ds.save_as(source, enforce_file_format=True)
    raw = name.encode(codec)
    raw += b" " * (len(raw) % 2)
    head, _, tail = source.read_bytes().partition(b"PN\x04\x00XXXX")
    source.write_bytes(head + b"PN" + len(raw).to_bytes(2, "little") + raw + tail)
    reconcile(source, target, TO)
    copy = dcmread(target)
    assert (copy.SpecificCharacterSet, str(copy.PatientName)) == (said, name)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
def test_other_encodings_keep_theirs_and_their_pixels(tmp_path: Path, syntax: str) -> None:
    source, target = tmp_path / "source.dcm", tmp_path / "copy.dcm"
    ds = make_slice(PatientID="1", pixel=7)
    if syntax == RLELossless:
        ds.compress(syntax)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(
        source, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True
    )
    reconcile(source, target, TO)
    copy = dcmread(target)
    assert (copy.file_meta.TransferSyntaxUID, copy.PixelData) == (syntax, dcmread(source).PixelData)


def test_what_is_no_dicom_is_refused_without_its_text(tmp_path: Path) -> None:
    source = tmp_path / "source.dcm"
    source.write_bytes(b"0012345 not dicom")
    with pytest.raises(UnreadableDataSet) as refusal:
        reconcile(source, tmp_path / "copy.dcm", TO)
    assert "0012345" not in str(refusal.value)


def test_what_can_be_read_and_not_written_is_named_and_not_a_broken_job(tmp_path: Path) -> None:
    source = tmp_path / "source.dcm"
    ds = make_slice(PatientID="1")
    del ds.SOPInstanceUID
    del ds.file_meta.MediaStorageSOPInstanceUID
    ds.save_as(source, enforce_file_format=False)
    with pytest.raises(UnreadableDataSet, match="readdressed"):
        reconcile(source, tmp_path / "copy.dcm", TO)


def test_a_file_that_is_not_there_is_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reconcile(tmp_path / "gone.dcm", tmp_path / "copy.dcm", TO)
