"""When images were made: DICOM's three ways to say it, and clocks that are off."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from service.acquisitions import (
    BEHIND,
    FEWEST,
    Acquisition,
    acquired_at,
    clock_of,
    judge_clock,
    note_acquisition,
)
from tests.service.factories import UDON, analysed, registered

NOON = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
"""12:30 in Thailand."""


def header(**values: str | list[str]) -> dict[str, Any]:
    return {
        tag.removeprefix("x"): {"Value": value if isinstance(value, list) else [value]}
        for tag, value in values.items()
    }


class TestReading:
    @pytest.mark.parametrize(
        "values",
        [
            {"x0008002A": "20261122123000"},
            {"x0008002A": "20261122123000.000000+0700"},
            {"x0008002A": "20261122053000+0000", "x00080201": "+0700"},
            {"x0008002A": "20261122003000-0500"},
            {"x00080022": "20261122", "x00080032": "123000"},
            {"x00080022": "20261122", "x00080032": "123000.000"},
            {"x00080022": "20261122", "x00080032": "1230"},
            {"x00080023": "20261122", "x00080033": "053000", "x00080201": "+0000"},
            {"x0008002A": "soon", "x00080022": "20261122", "x00080032": "123000"},
        ],
    )
    def test_every_way_of_saying_noon_and_a_half(self, values: dict[str, str]) -> None:
        assert acquired_at(header(**values)) == NOON

    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"x00080022": "20261122"},
            {"x00080032": "123000"},
            {"x0008002A": "20261322123000"},
            {"x0008002A": "๒๐๒๖๑๑๒๒๑๒๓๐๐๐"},
            {"x0008002A": "00000000000000"},
        ],
    )
    def test_what_is_no_time_is_none(self, values: dict[str, str]) -> None:
        assert acquired_at(header(**values)) is None

    @given(st.text(max_size=30), st.text(max_size=20), st.text(max_size=6))
    def test_whatever_stands_there_is_survived(self, day: str, time: str, zone: str) -> None:
        moment = acquired_at(header(x0008002A=day, x00080022=day, x00080032=time, x00080201=zone))
        assert moment is None or moment.tzinfo is UTC


class TestKeeping:
    def test_first_and_last_image_and_the_scanner(self, session: Session) -> None:
        study = registered(session)
        made = [
            header(x0008002A=f"202611221256{n:02d}", x00080070="SIEMENS", x00181000="77") for n in (10, 0, 5)
        ]
        scout = header(x0008002A="20261122120000", x00080008=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        note_acquisition(session, study, [scout, *made])
        session.flush()
        row = session.get_one(Acquisition, study.id)
        assert (row.first_at.second, row.last_at.second) == (0, 10)
        assert row.scanner == f"{UDON} SIEMENS 77"
        assert row.lag_seconds == (study.last_received_at - row.last_at).total_seconds()

    def test_without_times_nothing_is_kept(self, session: Session) -> None:
        study = registered(session)
        note_acquisition(session, study, [header(x00080070="GE"), header(x0008002A="18991231000000")])
        session.flush()
        assert session.get(Acquisition, study.id) is None


class TestClocks:
    @given(st.lists(st.floats(0, 7200), min_size=1, max_size=50), st.floats(-3600, 3600))
    def test_no_image_arrives_before_it_was_made(self, ways: list[float], off: float) -> None:
        """`off` is how much the scanner's clock is ahead; the hub sees the way less that."""
        seen = [way - off for way in ways]
        clock = judge_clock(seen)
        assert clock.ahead >= timedelta()
        assert clock.ahead.total_seconds() <= max(off, 0) + 1e-6  # never mended by more than it is off
        assert all(each + clock.ahead.total_seconds() >= -1e-6 for each in seen)

    def test_a_clock_is_said_to_be_behind_by_many_slow_studies_only(self) -> None:
        slow = BEHIND.total_seconds() + 60
        assert judge_clock([slow] * (FEWEST - 1)).behind is None
        assert judge_clock([slow] * FEWEST).behind == timedelta(seconds=slow)
        assert judge_clock([slow] * FEWEST + [30.0]).behind is None

    def test_nothing_known_says_nothing(self, session: Session) -> None:
        clock = clock_of(session, "nobody")
        assert (clock.studies, clock.ahead, clock.behind) == (0, timedelta(), None)


def test_the_kernel_is_that_of_the_series_that_was_read(session: Session) -> None:
    study = analysed(session)  # series 1.2.3.1 was read
    noon = {"x00080022": "20261122", "x00080032": "123000"}
    bone = header(**noon, x0020000E="1.2.3.2", x00181210=["Hr60f", "3"])
    soft = header(**noon, x0020000E="1.2.3.1", x00181210=["Hr38f"])
    for headers, kernel in (([bone, soft], "Hr38f"), ([bone], "Hr60f\\3"), ([header(**noon)], "")):
        note_acquisition(session, study, headers)
        assert session.get_one(Acquisition, study.id).kernel == kernel
