from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from pacs_gateway.headers import (
    InstanceHeader,
    NotPart10,
    Sender,
    UnreadableDataSet,
    header_of,
    read_header,
    read_identity,
    scan_header,
)
from pacs_gateway.identity import age_between, identity_of, parse_age
from pacs_gateway.part10 import build_meta, read_meta
from tests.pacs import write_slice

SENDER = Sender("UDON_CT1", "IMAGINGHUB", "10.8.0.5", "10671")
UIDS = {0x00080016: b"1.2", 0x00080018: b"1.3", 0x0020000D: b"1.4", 0x0020000E: b"1.5"}


class TestReadHeader:
    def test_reads_what_completion_needs(self, tmp_path: Path) -> None:
        header = read_header(write_slice(tmp_path, number=7, SliceThickness=2.5))
        assert (header.modality, header.rows, header.columns, header.instance_number) == ("CT", 16, 16, 7)
        assert header.position == (-120.0, -120.0, 35.0)
        assert header.orientation == (1, 0, 0, 0, 1, 0)
        assert header.slice_thickness == 2.5
        assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
        assert header.transfer_syntax_uid == ExplicitVRLittleEndian

    def test_sloppy_values_are_left_out_not_refused(self) -> None:
        values = {
            **UIDS,
            0x00200032: b"1\\2",
            0x00200037: b"a\\b",
            0x00200013: b"1.5e99",
            0x00280010: b"\x01",
        }
        header = header_of(values, ExplicitVRLittleEndian)
        assert (header.position, header.orientation, header.instance_number, header.rows) == (None,) * 4

    def test_illegal_uids_are_received(self) -> None:
        assert header_of({**UIDS, 0x00080018: b"1.02.A.3" * 9}, "1.2").sop_instance_uid == "1.02.A.3" * 9

    @pytest.mark.parametrize("tag", list(UIDS))
    def test_a_missing_uid_is_named(self, tag: int) -> None:
        with pytest.raises(UnreadableDataSet, match="UID is missing"):
            header_of({**UIDS, tag: b" "}, "1.2")

    @pytest.mark.parametrize("content", [b"", b"text", bytes(128) + b"DICM", bytes(500)])
    def test_other_files_are_no_part_10(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(NotPart10):
            read_header(path)

    @given(st.binary(max_size=400))
    def test_never_raises_anything_else(self, content: bytes) -> None:
        for prefix in (
            b"",
            bytes(128) + b"DICM",
            bytes(128) + b"DICM\x02\x00\x10\x00UI\x12\x001.2.840.10008.1.2\x00",
        ):
            try:
                meta = read_meta(prefix + content)
                scan_header(prefix + content, meta.transfer_syntax_uid, start=meta.data_set_offset)
            except UnreadableDataSet:
                pass

    @given(
        st.dictionaries(
            st.sampled_from([0x00200032, 0x00200037, 0x00200013, 0x00280010, 0x00080008]), st.binary()
        )
    )
    def test_any_value_gives_a_header(self, values: dict[int, bytes]) -> None:
        assert isinstance(header_of({**values, **UIDS}, "1.2"), InstanceHeader)


class TestMeta:
    @given(
        st.from_regex(r"[0-9.]{1,64}", fullmatch=True),
        st.text("ABC_1", min_size=1, max_size=16),
        st.binary(max_size=60),
    )
    def test_round_trip(self, uid: str, ae: str, private: bytes) -> None:
        private = private.rstrip(b"\x00")
        encoded = build_meta(
            sop_class_uid="1.2", sop_instance_uid=uid, transfer_syntax_uid=ExplicitVRLittleEndian,
            sending_ae=ae, receiving_ae="HUB", private_information=private,
        )  # fmt: skip
        meta = read_meta(encoded)
        assert (meta.sop_instance_uid, meta.sending_ae, meta.receiving_ae) == (uid, ae, "HUB")
        assert (meta.private_information, meta.data_set_offset) == (private, len(encoded))


class TestReadIdentity:
    def test_reads_a_clean_study(self, tmp_path: Path) -> None:
        path = write_slice(tmp_path, PatientBirthDate="19600425", PatientSex="F", AccessionNumber="A1")
        identity = read_identity(path, SENDER)
        assert (identity.hcode, identity.patient_id, identity.sex) == ("10671", "HN1", "F")
        assert identity.birth_date == date(1960, 4, 25)
        assert identity.age_years == pytest.approx(65.69, abs=0.01)
        assert identity.repairs == ()

    def test_empty_ids_are_received(self, tmp_path: Path) -> None:
        identity = read_identity(write_slice(tmp_path, PatientID="", PatientName=""), SENDER)
        assert (identity.patient_id, identity.patient_name, identity.age_years) == ("", "", None)

    def test_repairs_are_told_without_the_value(self) -> None:
        raw = "สมชาย^ใจดี".encode("cp874")
        identity = identity_of(
            {0x00080005: b"ISO_IR 100", 0x00100010: raw, 0x00080020: b"25690101", 0x00100030: b"25030425"},
            SENDER,
        )
        assert (identity.patient_name, identity.raw_patient_name) == ("สมชาย^ใจดี", raw)
        assert (identity.charset_declared, identity.charset_used) == ("ISO_IR 100", "cp874")
        assert (identity.study_date, identity.birth_date) == (date(2026, 1, 1), date(1960, 4, 25))
        assert identity.repairs == (
            "buddhist_date: StudyDate",
            "buddhist_date: PatientBirthDate",
            "charset: PatientName declared ISO_IR 100, read as cp874",
        )

    def test_age_computed_by_a_scanner_from_a_buddhist_year_is_not_believed(self) -> None:
        values = {0x00101010: b"000Y", 0x00080020: b"20260425", 0x00100030: b"25030425"}
        assert identity_of(values, SENDER).age_years == pytest.approx(66.0, abs=0.01)

    def test_stated_age_wins_over_the_computed_one(self) -> None:
        assert identity_of({0x00101010: b"045Y", 0x00080020: b"20260101"}, SENDER).age_years == 45.0

    @given(
        st.dictionaries(
            st.sampled_from([0x00080005, 0x00100010, 0x00100020, 0x00080020, 0x00101010]), st.binary()
        )
    )
    def test_any_value_gives_an_identity(self, values: dict[int, bytes]) -> None:
        identity_of(values, SENDER)


class TestAge:
    def test_units(self) -> None:
        assert parse_age("045Y") == 45
        assert parse_age("006M") == pytest.approx(0.5)
        assert parse_age("010D") == pytest.approx(10 / 365.25)
        assert parse_age("999Y") is None
        assert parse_age("old") is None

    def test_impossible_ages_are_none(self) -> None:
        assert age_between(date(2030, 1, 1), date(2026, 1, 1)) is None
        assert age_between(date(1800, 1, 1), date(2026, 1, 1)) is None


class TestRealStudies:
    @pytest.mark.parametrize(
        ("name", "count"),
        [("haemorrhage-ct", 53), ("infarct-ct", 28), ("normal-ct", 55), ("contrast-ct", 51)],
    )
    def test_every_file_is_read(self, real_studies: Path, name: str, count: int) -> None:
        headers = [read_header(path) for path in sorted((real_studies / name).glob("*.dcm"))]
        assert len(headers) == count
        assert len({header.study_instance_uid for header in headers}) == 1
        assert all(header.modality == "CT" and header.position for header in headers)
