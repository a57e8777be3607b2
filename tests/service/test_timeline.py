"""The stroke clock: what is heard, what is typed, and the figures of a month."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service import audit
from service.accounts import OPERATOR, Role, Viewer
from service.acquisitions import Acquisition
from service.clock_figures import add_months, clock_figures, write_csv
from service.db import now
from service.errors import BadRequest
from service.milestones import INTERVALS, TYPED, Milestone
from service.reviews import review_finding
from service.studies import Study
from service.timeline import Source, spans_of, timeline_of
from service.typed_times import TypedTime, note_told, type_time, typed_times
from service.verdicts import Verdict
from tests.service.factories import LOEI, RECEIVED, UDON, analysed

DOCTOR = Viewer("somchai", Role.REFERRER, UDON)
MONTH = date(2026, 11, 1)


@pytest.fixture
def flagged(session: Session) -> Study:
    return analysed(session, "1.2.3", StrokeType.SAH)


def type_at(session: Session, study: Study, milestone: Milestone, minutes: float) -> None:
    """Minutes after the first slice."""
    type_time(session, study, DOCTOR, milestone, study.first_received_at + timedelta(minutes=minutes))


class TestHearing:
    def test_rows_and_the_audit_tell_what_they_know(self, session: Session, flagged: Study) -> None:
        audit.record(session, "early", "study.read", study_id=flagged.id)
        review_finding(session, flagged, OPERATOR, Verdict.AGREE)
        for action in ("consult.asked", "referral.requested", "referral.departed", "referral.departed"):
            audit.record(session, "somchai", action, study_id=flagged.id)
        line = timeline_of(session, flagged)
        assert list(line) == [each for each in Milestone if each in line]
        assert line[Milestone.FIRST_SLICE].at == RECEIVED
        assert line[Milestone.RESULT].at == flagged.result_at
        assert line[Milestone.OPENED].by == "early"
        assert line[Milestone.READ].by == "operator"
        assert line[Milestone.CONSULT_ASKED].source is Source.HUB
        departed = audit.entries_of(session, flagged.id)[-1]
        assert line[Milestone.DEPARTED].at == departed.at

    def test_the_first_look_counts_from_the_answer_on_and_the_hub_does_not_look(
        self, session: Session, flagged: Study
    ) -> None:
        audit.record(session, "hub", "study.read", study_id=flagged.id)
        assert Milestone.OPENED not in timeline_of(session, flagged)
        flagged.result_at = now() + timedelta(minutes=1)
        audit.record(session, "somebody", "study.read", study_id=flagged.id)
        assert Milestone.OPENED not in timeline_of(session, flagged)

    def test_a_scanner_whose_clock_is_ahead_is_mended(self, session: Session, flagged: Study) -> None:
        ahead = timedelta(minutes=40)
        made = flagged.last_received_at - timedelta(minutes=2)
        session.add(
            Acquisition(
                study_id=flagged.id,
                first_at=made - timedelta(minutes=1) + ahead,
                last_at=made + ahead,
                scanner="s",
                lag_seconds=(timedelta(minutes=2) - ahead).total_seconds(),
            )
        )
        scan = timeline_of(session, flagged)[Milestone.SCAN]
        assert scan.source is Source.SCANNER
        # as far ahead as can be told: two minutes of the way cannot be seen
        assert flagged.first_received_at - scan.at < timedelta(minutes=4)
        assert scan.at <= flagged.last_received_at


class TestTyping:
    def test_the_last_entry_counts_and_can_be_taken_back(self, session: Session, flagged: Study) -> None:
        type_at(session, flagged, Milestone.ONSET, -90)
        type_at(session, flagged, Milestone.ONSET, -60)
        assert timeline_of(session, flagged)[Milestone.ONSET].at == RECEIVED - timedelta(minutes=60)
        type_time(session, flagged, DOCTOR, Milestone.ONSET, None)
        assert Milestone.ONSET not in timeline_of(session, flagged)
        assert typed_times(session, [flagged.id]) == {flagged.id: {}}

    @pytest.mark.parametrize("milestone", sorted(set(Milestone) - TYPED))
    def test_what_the_hub_hears_is_not_typed(
        self, session: Session, flagged: Study, milestone: Milestone
    ) -> None:
        with pytest.raises(BadRequest, match=milestone.value):
            type_time(session, flagged, DOCTOR, milestone, now())

    def test_bad_times_are_refused_by_name(self, session: Session, flagged: Study) -> None:
        for at, words in (
            (now() + timedelta(minutes=6), "future"),
            (RECEIVED - timedelta(days=31), "30 days"),
            (datetime(2026, 11, 22, 6), "time zone"),
        ):
            with pytest.raises(BadRequest, match=words):
                type_time(session, flagged, DOCTOR, Milestone.DOOR, at)

    def test_what_a_doctor_told_elsewhere_is_not_typed_twice(self, session: Session, flagged: Study) -> None:
        told = {Milestone.ONSET: RECEIVED - timedelta(minutes=80), Milestone.LAST_KNOWN_WELL: None}
        for _ in range(2):
            note_told(session, flagged, DOCTOR, told)
        note_told(session, flagged, DOCTOR, {Milestone.DOOR: RECEIVED - timedelta(days=400)})  # cannot be
        assert set(typed_times(session, [flagged.id])[flagged.id]) == {Milestone.ONSET}
        assert len(session.scalars(select(TypedTime)).all()) == 1
        assert timeline_of(session, flagged)[Milestone.ONSET].at == told[Milestone.ONSET]


class TestSpans:
    def test_both_ends_make_a_span_and_the_target_is_met_or_not(
        self, session: Session, flagged: Study
    ) -> None:
        type_at(session, flagged, Milestone.DOOR, -20)
        type_at(session, flagged, Milestone.NEEDLE, 41)
        spans = {each.interval.word: each for each in spans_of(timeline_of(session, flagged))}
        assert (round(spans["door_needle"].minutes), spans["door_needle"].met) == (61, False)
        type_at(session, flagged, Milestone.NEEDLE, 40)
        assert [
            s.met for s in spans_of(timeline_of(session, flagged)) if s.interval.word == "door_needle"
        ] == [True]

    def test_times_that_contradict_are_shown_and_not_judged(self, session: Session, flagged: Study) -> None:
        type_at(session, flagged, Milestone.DOOR, -20)
        type_at(session, flagged, Milestone.PHYSICIAN, -25)
        span = next(s for s in spans_of(timeline_of(session, flagged)) if s.interval.word == "door_physician")
        assert (round(span.minutes), span.met) == (-5, None)

    def test_every_interval_leads_onwards(self) -> None:
        order = list(Milestone)
        assert all(order.index(each.start) < order.index(each.end) for each in INTERVALS)
        assert all((each.minutes is None) == (each.source == "") for each in INTERVALS)


class TestFigures:
    def figures(
        self, session: Session, viewer: Viewer = OPERATOR, hcode: str | None = UDON
    ) -> dict[str, object]:
        found = clock_figures(session, viewer, hcode=hcode, first=MONTH, months=1)
        return {
            each.interval.word: (each.n, each.median, round(each.p90, 1), each.in_time, each.contradictory)
            for each in found
        }

    def test_median_and_p90_of_the_month(self, session: Session) -> None:
        for n, minutes in enumerate((10, 20, 30, 40, 200, -5)):
            study = analysed(session, f"1.2.{n}", StrokeType.SAH)
            type_at(session, study, Milestone.DOOR, 0)
            type_at(session, study, Milestone.NEEDLE, minutes)
        assert self.figures(session)["door_needle"] == (5, 30.0, 136.0, 4, 1)

    def test_whose_and_which_studies_count(self, session: Session) -> None:
        analysed(session, "1.1")  # clear, and nobody asked about it
        loei = analysed(session, "1.2", StrokeType.SDH, hcode=LOEI)
        for study in (loei, analysed(session, "1.3")):
            type_at(session, study, Milestone.DOOR, -30)
            type_at(session, study, Milestone.PHYSICIAN, -25)
        old = analysed(session, "1.4", StrokeType.SDH, received=datetime(2026, 10, 31, 16, 59, tzinfo=UTC))
        edge = analysed(session, "1.5", StrokeType.SDH, received=datetime(2026, 10, 31, 17, 0, tzinfo=UTC))
        for study in (old, edge):  # the month begins at midnight in Thailand
            type_at(session, study, Milestone.DOOR, -30)
            type_at(session, study, Milestone.PHYSICIAN, -29)
        assert self.figures(session)["door_physician"] == (2, 3.0, 4.6, 2, 0)
        assert self.figures(session, hcode=None)["door_physician"] == (3, 5.0, 5.0, 3, 0)
        assert self.figures(session, DOCTOR, None) == self.figures(session)
        assert self.figures(session, DOCTOR, LOEI) == {}

    def test_the_table_opens_in_a_spreadsheet(self, session: Session, flagged: Study) -> None:
        type_at(session, flagged, Milestone.DOOR, -20)
        type_at(session, flagged, Milestone.NEEDLE, 20)
        found = clock_figures(session, OPERATOR, hcode=UDON, first=MONTH, months=1)
        rows = list(csv.DictReader(io.StringIO(write_csv(found, hcode=UDON))))
        needle = next(row for row in rows if row["interval"] == "door_needle")
        assert (needle["month"], needle["hospital"], needle["n"]) == ("2026-11", UDON, "1")
        assert (needle["median_min"], needle["target_min"], needle["in_time"]) == ("40.0", "60", "1")

    def test_too_many_months_are_refused(self, session: Session) -> None:
        with pytest.raises(BadRequest, match="25 months"):
            clock_figures(session, OPERATOR, hcode=None, first=MONTH, months=25)
        assert add_months(date(2026, 1, 31), -1) == date(2025, 12, 1)
