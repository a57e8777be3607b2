"""Whole files through de-identification: nothing of the patient is left in the bytes."""

import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
)

from pacs_gateway.deidentify import Report, deidentify
from pacs_gateway.headers import read_header
from pacs_gateway.pixel_privacy import Reason
from pacs_gateway.pseudonyms import BadKey, Key, make_key, read_key
from tests.hub import real_ct
from tests.pacs import make_slice

KEY = Key(b"a secret of thirty-two bytes, ok?")
THAI = [chr(code) for code in range(0x0E01, 0x0E2F)]
CHARSETS = {
    "ISO_IR 166": "cp874",
    "\\ISO 2022 IR 166": "cp874",
    "ISO_IR 192": "utf-8",
    "TIS-620": "cp874",
    "": "cp874",
    "ISO_IR 100": "cp874",
    "ISO_IR 166 ": "utf-8",
}
"""What is declared, and how the text is really written; the last declares one and writes the other."""

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""Files are written in every example; a failure is told as it was found."""

PLACE = "\\ISO 2022 IR 166"

thai_words = st.text(THAI, min_size=4, max_size=9)
latin_words = st.from_regex(r"Z[b-df-hj-np-tv-z]{4,8}", fullmatch=True)
words = thai_words | latin_words
numbers = st.from_regex(r"[1-9][0-9]{5,8}", fullmatch=True)
citizens = st.from_regex(r"[1-8][0-9]{12}", fullmatch=True)


def run(folder: Path, *files: FileDataset, hcode: str = "10671") -> Report:
    paths = []
    for number, ds in enumerate(files):
        path = folder / f"in-{number}.dcm"
        dcmwrite(path, ds, enforce_file_format=True)
        paths.append(path)
    return deidentify(paths, folder / "out", key=KEY, hcode=hcode)


def refusal_of(folder: Path, ds: FileDataset) -> dict[Reason, int]:
    report = run(folder, ds)
    assert report.written == ()
    assert [path for path in folder.rglob("*") if "out" in path.parts and path.is_file()] == []
    return report.refused


def spell(number: str, how: int) -> str:
    """A citizen id as people write it: plain, with dashes, with blanks, in Thai digits."""
    grouped = [number[0], number[1:5], number[5:10], number[10:12], number[12]]
    thai = number.translate({ord(str(digit)): 0x0E50 + digit for digit in range(10)})
    return [number, "-".join(grouped), " ".join(grouped), thai][how]


@settings(max_examples=60, deadline=None, phases=NO_SHRINKING)
@given(
    name=st.tuples(words, words), doctor=words, place=words, station=latin_words, hn=numbers,
    accession=numbers, citizen=citizens, spelling=st.integers(0, 3), 
    charset=st.sampled_from(sorted(CHARSETS)),
    implicit=st.booleans(),
)  # fmt: skip
def test_no_original_value_survives_anywhere_in_the_bytes_written(
    name: tuple[str, str], doctor: str, place: str, station: str, hn: str, accession: str, citizen: str,
    spelling: int, charset: str, implicit: bool,
) -> None:  # fmt: skip
    told = f"{name[0]} {name[1]} HN {hn} {spell(citizen, spelling)}"
    values = {
        "PatientName": f"{name[0]}^{name[1]}", "PatientID": hn, "AccessionNumber": accession,
        "ReferringPhysicianName": doctor, "InstitutionName": place, "StationName": station,
        "OtherPatientNames": f"{name[1]}^{name[0]}", "StudyDescription": f"CT BRAIN {told}"[:64],
        "SeriesDescription": f"5.0mm {doctor}", "ProtocolName": f"{place} head {hn}", "ImageComments": told,
        "PatientComments": told, "ContentLabel": name[0][:16].upper(),
        "SoftwareVersions": f"v1 {hn} {station}",
        "ConvolutionKernel": station, "ManufacturerModelName": f"{told}"[:64], "IssuerOfPatientID": place,
        "PatientBirthDate": "25010809", "RequestingPhysician": doctor, "StudyID": accession,
    }  # fmt: skip
    syntax = ImplicitVRLittleEndian if implicit else "1.2.840.10008.1.2.1"
    ds = make_slice(study="1.2.826.0.1.99887", number=7, syntax=syntax, SliceThickness="5")
    item, deep = Dataset(), Dataset()
    written = written_as(values, charset)
    for holder in (ds, item, deep):
        for keyword, (holder_text, _) in written.items():
            setattr(holder, keyword, holder_text if keyword != "PatientBirthDate" else values[keyword])
    ds.SpecificCharacterSet = PLACE.split("\\")
    item.ReferencedSOPInstanceUID = "1.2.826.0.1.99887.5"
    item.PurposeOfReferenceCodeSequence = Items([deep])
    ds.SourceImageSequence = Items([item])
    ds.SharedFunctionalGroupsSequence = Items([deep])
    block = ds.private_block(0x0029, "VENDOR X", create=True)
    block.add_new(1, "OB", told.encode("utf-8"))
    ds.preamble = hn.encode().ljust(128, b"\0")
    ds.file_meta.SourceApplicationEntityTitle = station[:16]

    with TemporaryDirectory() as folder:
        source = Path(folder) / "in.dcm"
        dcmwrite(source, ds, enforce_file_format=True)
        data = source.read_bytes()
        for place, raw in (*written.values(), (PLACE, charset.strip().ljust(len(PLACE)).encode())):
            data = data.replace(place.encode(), raw)
        source.write_bytes(data)
        report = deidentify([source], Path(folder) / "out", key=KEY, hcode="10671")
        assert report.refused == {}
        copy = report.written[0].read_bytes()
        path = str(report.written[0].relative_to(folder))
    secrets = {
        *name,
        doctor,
        place,
        station,
        hn,
        accession,
        citizen,
        "25010809",
        "19580809",
        "1.2.826.0.1.99887",
    }
    for secret in secrets:
        for form in (secret, secret.upper(), secret.lower()):
            for encoding in ("utf-8", "cp874", "utf-16-le"):
                found = form.encode(encoding) in copy
                if found and form.isdigit():
                    # digits may stand inside a pseudonym by chance; nothing was let through if they do
                    found = form.encode() in re.sub(rb"2\.25\.[0-9]+", b"", copy)
                assert not found
        assert secret not in re.sub(r"2\.25\.[0-9]+", "", path)
    assert spell(citizen, 1).encode() not in copy


def written_as(values: dict[str, str], charset: str) -> dict[str, tuple[str, bytes]]:
    """For each attribute a place holder, and the bytes that go there in the real charset."""
    found = {}
    for number, (keyword, text) in enumerate(values.items()):
        raw = text.encode(CHARSETS[charset], "ignore")
        if "2022" in charset:
            raw = re.sub(rb"[\x80-\xff]+", lambda run: b"\x1b-T" + run[0], raw)
        raw = raw[: {"CS": 16, "SH": 16, "LO": 64, "PN": 64}.get(dictionary_VR(keyword), 1000)]
        raw += b" " * (len(raw) % 2)
        found[keyword] = (f"Q{number:02}".ljust(len(raw), "X")[: len(raw)], raw)
    return found


@settings(max_examples=30, deadline=None, phases=NO_SHRINKING)
@given(
    moments=st.lists(st.datetimes(datetime(1995, 1, 1), datetime(2026, 12, 31)), min_size=2, max_size=4),
    buddhist=st.booleans(),
)
def test_time_between_any_two_dates_of_a_patient_stays(moments: list[datetime], buddhist: bool) -> None:
    files = []
    for number, moment in enumerate(moments):
        ds = make_slice(study=f"1.2.3.{number}", SliceThickness="5", PatientID="HN7")
        day = f"{moment.year + 543 * buddhist:04d}{moment:%m%d}"
        item = Dataset()
        item.ContentDate, item.StudyDate = day, day
        ds.StudyDate, ds.AcquisitionDateTime = day, f"{day}{moment:%H%M%S}.5+0700"
        ds.StudyTime, ds.SharedFunctionalGroupsSequence = f"{moment:%H%M%S}", Items([item])
        files.append(ds)
    with TemporaryDirectory() as folder:
        copies = [dcmread(path) for path in run(Path(folder), *files).written]
    shifts = set()
    for ds, moment in zip(copies, moments, strict=True):
        assert ds.AcquisitionDateTime == f"{ds.StudyDate}{moment:%H%M%S}.5+0700"
        assert ds.StudyTime == f"{moment:%H%M%S}"
        assert ds.SharedFunctionalGroupsSequence[0].ContentDate == ds.StudyDate
        shifts.add((datetime.strptime(ds.StudyDate, "%Y%m%d").date() - moment.date()).days)
    assert len(shifts) == 1
    assert -1825 <= shifts.pop() <= -30


def test_patient_is_one_hospitals_number_and_uids_stay_together(tmp_path: Path) -> None:
    files = [
        make_slice(number=number, SliceThickness="5", FrameOfReferenceUID="1.2.3.9") for number in (1, 2)
    ]
    first = [dcmread(path) for path in run(tmp_path, *files).written]
    assert {ds.StudyInstanceUID for ds in first} == {KEY.uid("1.2.3.1")}
    assert {ds.FrameOfReferenceUID for ds in first} == {KEY.uid("1.2.3.9")}
    assert len({ds.SOPInstanceUID for ds in first}) == 2
    assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in first)
    assert {ds.PatientID for ds in first} == {KEY.patient("10671", "HN1").patient_id}
    assert KEY.patient("10705", "HN1").patient_id != KEY.patient("10671", "HN1").patient_id
    assert Key(b"x" * 32).uid("1.2.3.1") != KEY.uid("1.2.3.1")
    (tmp_path / "again").mkdir()
    for path in run(tmp_path / "again", *files).written:
        assert path.read_bytes() == (tmp_path / path.relative_to(tmp_path / "again")).read_bytes()


@pytest.mark.parametrize("uid", ["1.2.3", "2.25.1", "1.2.840.113619.2.5.1762583153", "1.02.3", ""])
def test_pseudonymous_uids_are_legal(uid: str) -> None:
    made = KEY.uid(uid)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", made)
    number = int(made[5:])
    assert number >> 76 & 0xF == 8
    assert number >> 62 & 3 == 2


def test_how_it_was_done_is_written_in_the_file(tmp_path: Path) -> None:
    ds = make_slice(SliceThickness="5", DeidentificationMethod="by Zzyx")
    copy = dcmread(run(tmp_path, ds).written[0])
    assert [item.CodeValue for item in copy.DeidentificationMethodCodeSequence] == [
        "113100", "113101", "113105", "113107", "113108",
    ]  # fmt: skip
    assert copy.PatientIdentityRemoved == "YES"
    assert copy.LongitudinalTemporalInformationModified == "MODIFIED"
    assert copy.BurnedInAnnotation == "NO"
    assert "Zzyx" not in copy.DeidentificationMethod
    assert copy.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SOPClassUID": SecondaryCaptureImageStorage}, Reason.OBJECT_KIND),
        ({"SOPClassUID": ComprehensiveSRStorage}, Reason.OBJECT_KIND),
        ({"SOPClassUID": EncapsulatedPDFStorage}, Reason.OBJECT_KIND),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, Reason.DERIVED),
        ({"ImageType": ["ORIGINAL", "SECONDARY"]}, Reason.DERIVED),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, Reason.LOCALIZER),
        ({"BurnedInAnnotation": "YES"}, Reason.BURNED_IN),
        ({"SliceThickness": "0.6"}, Reason.FACE),
        ({"SliceThickness": None}, Reason.FACE),
    ],
)
def test_what_may_show_somebody_is_refused_with_its_reason(
    tmp_path: Path, attributes: dict[str, object], reason: Reason
) -> None:
    ds = make_slice(**{"SliceThickness": "5", **attributes})
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    assert refusal_of(tmp_path, ds) == {reason: 1}
    assert reason.meaning


def test_thin_slices_are_seen_by_their_positions_whatever_their_header_says(tmp_path: Path) -> None:
    files = [make_slice(number=number, spacing=1.0, SliceThickness="5") for number in range(1, 13)]
    assert run(tmp_path, *files).refused == {Reason.FACE: 12}


def test_files_that_are_no_dicom_are_refused_and_the_others_written(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("HN 123456")
    dcmwrite(tmp_path / "ok.dcm", make_slice(SliceThickness="5"), enforce_file_format=True)
    whole = (tmp_path / "ok.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-100])
    report = deidentify(sorted(tmp_path.iterdir()), tmp_path / "out", key=KEY)
    assert len(report.written) == 1
    assert report.refused == {Reason.UNREADABLE: 2}


def test_drawings_in_unused_bits_are_wiped_and_the_image_is_not(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.int16) - 128
    stored = (values & 0x0FFF).astype("<u2")
    drawn = (stored | 0x8000).tobytes()
    ds = make_slice(SliceThickness="5", BitsStored=12, HighBit=11, PixelData=drawn)
    ds.add_new(0x60000010, "US", 16)
    ds.add_new(0x60000102, "US", 15)
    copy = dcmread(run(tmp_path, ds).written[0])
    assert not [tag for tag in list(copy.keys()) if tag >> 24 == 0x60]
    assert np.array_equal(copy.pixel_array.ravel(), values)


def test_a_description_of_nothing_but_names_goes_and_the_image_stays(tmp_path: Path) -> None:
    ds = make_slice(SliceThickness="5", SeriesDescription="Qvbn", StudyDescription="***", ProtocolName="Zzyx")
    copy = dcmread(run(tmp_path, ds).written[0])
    assert "SeriesDescription" not in copy
    assert "StudyDescription" not in copy
    assert copy.ProtocolName == "REMOVED"


def test_big_endian_and_compressed_pixels_are_the_same_afterwards(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.int16).reshape(16, 16)
    big = make_slice(number=1, SliceThickness="5", syntax=ExplicitVRBigEndian)
    big.PixelData = values.astype(">i2").tobytes()
    jpeg_ls = make_slice(number=2, SliceThickness="5")
    jpeg_ls.PixelData = values.tobytes()
    jpeg_ls.compress(JPEGLSLossless, generate_instance_uid=False)
    copies = [dcmread(path) for path in run(tmp_path, big, jpeg_ls).written]
    assert copies[0].file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert copies[1].file_meta.TransferSyntaxUID == JPEGLSLossless
    assert all(np.array_equal(ds.pixel_array, values) for ds in copies)


@pytest.mark.parametrize("name", ["haemorrhage-ct", "infarct-ct", "normal-ct"])
def test_real_studies_keep_their_image_and_geometry(tmp_path: Path, name: str) -> None:
    before = {KEY.uid(read_header(path).sop_instance_uid): path for path in real_ct(name)}
    report = deidentify(before.values(), tmp_path / "out", key=KEY)
    assert report.refused == {}
    for path in report.written[::9]:
        header, source = read_header(path), read_header(before[path.stem])
        assert (header.position, header.orientation, header.instance_number) == (
            source.position,
            source.orientation,
            source.instance_number,
        )
        assert np.array_equal(dcmread(path).pixel_array, dcmread(before[path.stem]).pixel_array)


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmtk is not on this machine")
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not on this machine")
def test_dcmtk_and_dciodvfy_take_the_copy(tmp_path: Path) -> None:
    path = deidentify(real_ct("infarct-ct")[:1], tmp_path / "out", key=KEY).written[0]
    dump = subprocess.run(["dcmdump", str(path)], capture_output=True, text=True, check=True)
    assert "PatientIdentityRemoved" in dump.stdout
    verdict = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    assert [line for line in verdict.stderr.splitlines() if line.startswith("Error")] == []


def test_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert make_key(path) == read_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(BadKey, match="exists"):
        make_key(path)
    os.chmod(path, 0o644)
    with pytest.raises(BadKey, match="open to others"):
        read_key(path)
    with pytest.raises(BadKey, match="5 bytes"):
        Key(b"short")
    with pytest.raises(BadKey, match="No such file"):
        read_key(tmp_path / "none")
    assert "secret" not in repr(KEY)
