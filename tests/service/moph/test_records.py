"""The ministry's records: what each field says, and that nothing is said that nobody told."""

import csv
import io
import re
import string
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.moph.files import COLUMNS, TEXT, text_file, write_files
from service.moph.records import (
    care_refer,
    clinical_refer,
    investigation_refer,
    refer_history,
    refer_result,
)
from service.moph.refers import HeadCt, Origin, Outcome, Refer
from service.referral_details import Care, ReferralDetails
from service.referral_states import REASONS, Reason, ReferralState, Verb

AT = datetime(2026, 11, 28, 1, 30, tzinfo=UTC)
CODES = st.from_regex(r"[A-Z][0-9]{2}(\.[0-9]{1,2})?", fullmatch=True)
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def refer(*, told: dict[str, Any] | None = None, **changes: Any) -> Refer:
    values: dict[str, Any] = {
        "referid": "69-000123",
        "hospcode": "11014",
        "destination": "10671",
        "referred_at": AT,
        "updated_at": AT + timedelta(minutes=5),
        "urgency": 2,
        "hn": "0012345",
        "served_at": None,
        "details": ReferralDetails.model_validate(told or {}),
        "origin": None,
        "sends_back": False,
        "stroke": False,
        "ct": None,
        "outcome": outcome(),
    }
    return Refer(**{**values, **changes})


def outcome(state: ReferralState = ReferralState.REQUESTED, **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "reason": None,
        "words": "",
        "hn": "",
        "arrived_at": None,
        "reply": "",
        "replied_at": None,
    }
    return Outcome(state, **{**values, **changes})


class TestReferHistory:
    def test_a_stroke_is_told_as_one_with_its_true_urgency(self) -> None:
        row = refer_history(refer(told={"icd10": "I61.0", "diagnosis": "ICH"}, urgency=1))
        assert (row["PTYPEDIS"], row["EMERGENCY"], row["PTYPE"]) == ("02", "1", "3")
        assert (row["DIAGFIRST"], row["DIAGLAST"]) == ("ICH", "I610")
        assert row["REFERID_PROVINCE"] == "1101469-000123"

    @pytest.mark.parametrize(
        ("code", "group"),
        [
            ("I60.9", "02"),
            ("I63.5", "02"),
            ("I64", "02"),
            ("G45.9", "02"),
            ("I69.3", "99"),
            ("I21.0", "01"),
            ("S06.5", "03"),
            ("C71.9", "04"),
            ("A41.9", "05"),
            ("O15.0", "06"),
            ("P52.9", "07"),
            ("R51", "99"),
            ("", ""),
        ],
    )
    def test_the_disease_group_follows_the_code(self, code: str, group: str) -> None:
        assert refer_history(refer(told={"icd10": code}))["PTYPEDIS"] == group

    def test_without_a_code_what_is_treated_says_it(self) -> None:
        assert refer_history(refer(stroke=True))["PTYPEDIS"] == "02"
        assert refer_history(refer(stroke=True, told={"icd10": "R51"}))["PTYPEDIS"] == "99"

    def test_an_injury_is_an_accident_patient(self) -> None:
        assert refer_history(refer(told={"icd10": "S06.5"}))["PTYPE"] == "2"
        assert refer_history(refer(urgency=4))["PTYPE"] == "1"

    def test_the_way_back_and_the_referral_before(self) -> None:
        row = refer_history(refer(origin=Origin("69-000001", "10671"), sends_back=True))
        assert (row["CAUSEOUT"], row["REFERID_ORIGIN"], row["HOSPCODE_ORIGIN"]) == ("6", "69-000001", "10671")
        assert refer_history(refer())["CAUSEOUT"] == "1"

    def test_what_nobody_told_is_empty(self) -> None:
        row = refer_history(refer())
        known = {
            "HOSPCODE",
            "REFERID",
            "REFERID_PROVINCE",
            "PID",
            "DATETIME_REFER",
            "HOSP_DESTINATION",
            "PTYPE",
            "EMERGENCY",
            "CAUSEOUT",
            "D_UPDATE",
        }
        assert {name for name, value in row.items() if value not in ("", None)} == known


class TestClinicalAndInvestigation:
    def test_a_row_each_for_what_was_measured(self) -> None:
        told = {"gcs": 13, "nihss": 0, "systolic": 180, "diastolic": 100, "inr": 1.2, "glucose": 250}
        rows = clinical_refer(refer(told=told))
        assert [(row["CLINICALNAME"], row["CLINICALVALUE"]) for row in rows] == [
            ("SBP (mmHg)", 180),
            ("DBP (mmHg)", 100),
            ("GCS", 13),
            ("NIHSS", 0),
        ]
        assert {row["DATETIME_ASSESS"] for row in rows} == {AT}

    def test_care_is_what_was_ticked_once_each_and_nothing_else(self) -> None:
        told = {"care": ["iv_line", "airway", "iv_line", "other"], "treatment": "splint, oxygen"}
        rows = care_refer(refer(told=told))
        assert [row["CARETYPE"] for row in rows] == ["1", "3", "6"]
        assert {(row["HOSPCODE"], row["REFERID"], row["REFERID_PROVINCE"]) for row in rows} == {
            ("11014", "69-000123", "1101469-000123")
        }
        assert care_refer(refer(told={"treatment": "splint, oxygen"})) == []
        assert text_file("CARE_REFER", rows[:1]).split("\r\n")[:2] == [
            "HOSPCODE|REFERID|REFERID_PROVINCE|CARETYPE|D_UPDATE",
            "11014|69-000123|1101469-000123|1|20261128083500",
        ]

    def test_blood_has_no_time_and_the_ct_has_its_own(self) -> None:
        ct = HeadCt(AT - timedelta(hours=1), "CT BRAIN", "hyperdensity", AT)
        rows = investigation_refer(refer(told={"inr": 1.2, "platelets": 200_000, "glucose": 90}, ct=ct))
        said = [(row["LOINC"], row["INVESTVALUE"], row["DATETIME_INVEST"]) for row in rows]
        assert said == [
            ("24725-4", None, AT - timedelta(hours=1)),
            ("2339-0", 90, None),
            ("6301-6", 1.2, None),
            ("777-3", 200_000, None),
        ]
        assert rows[0]["INVESTRESULT"] == "hyperdensity"
        assert rows[0]["ICDCM"] == "8703"


class TestReferResult:
    @pytest.mark.parametrize("state", [ReferralState.REQUESTED, ReferralState.RECEIVED])
    def test_there_is_none_before_the_answer(self, state: ReferralState) -> None:
        assert refer_result(refer(outcome=outcome(state))) is None

    @pytest.mark.parametrize(
        ("state", "reason", "result"),
        [
            (ReferralState.ACCEPTED, None, "1"),
            (ReferralState.DEPARTED, None, "1"),
            (ReferralState.ARRIVED, None, "1"),
            (ReferralState.COMPLETED, None, "1"),
            (ReferralState.REJECTED, Reason.NO_BED, "2"),
            (ReferralState.FAILED, Reason.DIED_IN_TRANSIT, "3"),
            (ReferralState.FAILED, Reason.DID_NOT_ARRIVE, "4"),
            (ReferralState.FAILED, Reason.TURNED_BACK, "5"),
            (ReferralState.CANCELLED, Reason.PATIENT_REFUSED, "5"),
        ],
    )
    def test_the_answer(self, state: ReferralState, reason: Reason | None, result: str) -> None:
        row = refer_result(refer(outcome=outcome(state, reason=reason), told={"citizen_id": "1471445676574"}))
        assert row is not None
        assert row["REFER_RESULT"] == result
        assert row["CID_IN"] == ("1471445676574" if result == "1" else "")
        assert (row["HOSPCODE"], row["HOSP_SOURCE"]) == ("10671", "11014")

    def test_arrival_and_reply(self) -> None:
        done = outcome(ReferralState.COMPLETED, hn="99", arrived_at=AT, reply="home", replied_at=AT)
        row = refer_result(refer(outcome=done))
        assert row is not None
        assert (row["PID_IN"], row["DATETIME_IN"], row["reply_recommend"]) == ("99", AT, "home")


PROSE = st.text(max_size=12) | st.just("ก|ข\r\n" * 80)


@st.composite
def refers(draw: st.DrawFn) -> Refer:
    """Any referral that the hub can hold."""
    state = draw(st.sampled_from([each for each in ReferralState if each is not ReferralState.DRAFT]))
    reasons = {
        ReferralState.REJECTED: REASONS[Verb.REJECT],
        ReferralState.CANCELLED: REASONS[Verb.CANCEL],
        ReferralState.FAILED: REASONS[Verb.FAIL],
    }
    told = {
        "diagnosis": draw(st.text(max_size=9)),
        "icd10": draw(st.just("") | CODES),
        "request": draw(PROSE),
        "history": draw(PROSE),
        "nihss": draw(st.none() | st.integers(0, 42)),
        "gcs": draw(st.none() | st.integers(3, 15)),
        "inr": draw(st.none() | st.floats(0.1, 30)),
        "care": draw(st.lists(st.sampled_from(Care), max_size=20)),
        "citizen_id": draw(st.just("") | st.text(string.digits, min_size=13, max_size=13)),
    }
    return refer(
        told=told,
        urgency=draw(st.integers(1, 5)),
        served_at=draw(st.none() | MOMENTS),
        stroke=draw(st.booleans()),
        ct=draw(st.none() | st.builds(HeadCt, st.none() | MOMENTS, st.text(max_size=9), PROSE)),
        outcome=outcome(
            state,
            reason=draw(st.sampled_from(reasons[state])) if state in reasons else None,
            words=draw(PROSE),
            arrived_at=draw(st.none() | MOMENTS),
        ),
    )


@settings(max_examples=30, deadline=None)
@given(refers())
def test_any_referral_makes_files_that_read_back(given_refer: Refer) -> None:
    content = write_files([given_refer], [given_refer], AT)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert sorted(archive.namelist()) == sorted(f"{kind}.txt" for kind in COLUMNS)
        for kind, columns in COLUMNS.items():
            text = archive.read(f"{kind}.txt").decode("utf-8")
            lines = text.split("\r\n")
            assert lines[-1] == ""
            rows = [dict(zip(columns, line.split("|"), strict=True)) for line in lines[1:-1]]
            assert lines[0] == "|".join(columns)
            for row in rows:
                for name, width in columns.items():
                    assert width != TEXT or len(row[name]) <= TEXT
                    if name.startswith("DATETIME") or name == "D_UPDATE":
                        assert re.fullmatch(r"(20[0-9]{12})?", row[name]), name
            if kind == "REFER_HISTORY":
                assert rows[0]["EMERGENCY"] == str(given_refer.urgency)
                assert "." not in given_refer.icd10
                if given_refer.icd10[:3] in ("I60", "I61", "I62", "I63", "I64"):
                    assert rows[0]["PTYPEDIS"] == "02"


def test_moments_are_thai_and_western_and_bars_do_not_split() -> None:
    told = {"request": "A|B\r\nC\u2028D" + "ก" * 300, "diagnosis": "x"}
    text = text_file("REFER_HISTORY", [refer_history(refer(told=told))])
    row = next(csv.DictReader(io.StringIO(text), delimiter="|", quoting=csv.QUOTE_NONE))
    assert row["DATETIME_REFER"] == "20261128083000"
    assert row["REQUEST"].startswith("A B C Dก")
    assert len(row["REQUEST"]) == TEXT


def test_numbers_are_never_cut() -> None:
    text = text_file("REFER_HISTORY", [refer_history(refer(hn="1" * 20))])
    assert "|" + "1" * 20 + "|" in text
