"""Drift: a hospital whose scores, flags or scanner change has an alarm, one whose do not has none."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from model.stroke import Decision, StrokeType
from service.accounts import Role, Viewer
from service.acquisitions import Acquisition
from service.drift import drift, week_of
from service.drift_weeks import LEAST, Alarm, Pile, judge_week
from service.findings import Analysis, Finding
from service.reviews import Review
from service.studies import Study, note_receiving
from service.verdicts import Verdict
from tests.service.factories import LOEI, UDON, progress
from tests.service.modelling import ML

pytestmark = pytest.mark.one_database  # weeks are made in Python

MONDAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 28, 5, 0, tzinfo=UTC)


def weeks(session: Session, hcode: str, *, drifts: bool, seed: int = 1, until: datetime = NOW) -> None:
    """Twelve weeks of twenty studies; in the last one scores, flags, scanner and agreement change or not."""
    chance = np.random.default_rng(seed)
    rows: dict[type, list[dict[str, object]]] = {
        Study: [],
        Analysis: [],
        Finding: [],
        Acquisition: [],
        Review: [],
    }
    study = note_receiving(session, progress(f"1.{hcode}.0", hcode=hcode))
    plain = {column.name: getattr(study, column.name) for column in Study.__table__.columns}
    first = study.id * 10_000
    for number in range(240):
        at = until - timedelta(weeks=11) + timedelta(days=7 * (number // 20), minutes=number)
        new = drifts and number >= 220
        score = float(np.clip(chance.beta(2, 8) + 0.4 * new, 0, 1))
        flagged = number % 10 == 0 or (new and number % 2 == 0)
        key = first + number
        rows[Study].append({**plain, "id": key, "study_instance_uid": f"1.{hcode}.9.{number}"})
        rows[Analysis].append(
            {
                "id": key, "study_id": key, "revision": 0, "model_name": "m", "model_digest": "d",
                "engine": "e",
                "decision": Decision.FLAG if flagged else Decision.CLEAR, "series_instance_uid": "1",
                "notes": [], "slices": [], "seconds": {}, "key_slices": [], "created_at": at,
                "distance": 10 * (score + new), "usual_distance": 10.0,
            }
        )  # fmt: skip
        rows[Finding].append(
            {
                "id": key, "analysis_id": key, "study_id": key, "revision": 0,
                "stroke_type": StrokeType.ANY_ICH,
                "probability": score, "threshold": 0.5, "decision": Decision.CLEAR, "reason": "",
            }
        )  # fmt: skip
        rows[Acquisition].append(
            {
                "study_id": key, "first_at": at, "last_at": at, "lag_seconds": 1.0,
                "scanner": f"{hcode} {'NEW' if new else 'OLD'}", "kernel": "Hr60f" if new else "Hr38f",
            }
        )  # fmt: skip
        wrong = number % 20 == 1 or (new and number % 20 < 14)
        rows[Review].append(
            {
                "id": key, "analysis_id": key, "study_id": key, "revision": 0, "hcode": hcode,
                "reviewer": "r",
                "verdict": Verdict.CORRECT if wrong else Verdict.AGREE, "present": [], "places": [],
                "comment": "", "at": at,
            }
        )  # fmt: skip
    for table, values in rows.items():
        session.execute(insert(table), values)


def test_what_changed_is_told_week_by_week_and_hospitals_with_alarms_come_first(session: Session) -> None:
    weeks(session, UDON, drifts=False)
    weeks(session, LOEI, drifts=True)
    loei, udon = drift(session, ML, NOW)
    assert (loei.hcode, udon.hcode) == (LOEI, UDON)
    assert set(loei.alarms) == set(Alarm)
    assert udon.alarms == ()
    assert [week.studies for week in udon.weeks] == [20, 20, 20, 20]
    assert udon.reference == 160
    newest = loei.weeks[-1]
    assert newest.begins == week_of(NOW)
    assert newest.flags is not None
    assert newest.flags.share == 0.5
    assert newest.agreement is not None
    assert newest.agreement.share < newest.agreement.low
    assert (newest.new_scanners, newest.new_kernels) == (20, 20)
    assert newest.away is not None
    assert newest.away.median > 1
    assert newest.away.beyond == 1.0
    assert all(not week.alarms for week in loei.weeks[:-1])
    assert [each.hcode for each in drift(session, Viewer("ml-udon", Role.ML, UDON), NOW)] == [UDON]
    assert [each.hcode for each in drift(session, ML, NOW, hcode=LOEI)] == [LOEI]


def test_of_too_few_studies_nothing_is_said(session: Session) -> None:
    weeks(session, UDON, drifts=True)
    later = NOW + timedelta(weeks=11)  # the drifted week alone is left, and it is among the reference
    (udon,) = drift(session, ML, later)
    assert udon.reference == LEAST * 2
    assert all(week.psi is None and week.flags is None and not week.alarms for week in udon.weeks)


def test_the_same_scanners_and_kernels_in_another_mix_are_an_alarm() -> None:
    before = Pile(studies=100, scanners=["A"] * 90 + ["B"] * 10, kernels=["soft"] * 50 + ["bone"] * 50)
    alike = Pile(studies=20, scanners=["A"] * 18 + ["B"] * 2, kernels=["soft"] * 11 + ["bone"] * 9)
    other = Pile(studies=20, scanners=["A"] * 6 + ["B"] * 14, kernels=["soft"] * 11 + ["bone"] * 9)
    assert judge_week(MONDAY, alike, before).alarms == ()
    week = judge_week(MONDAY, other, before)
    assert (week.alarms, week.new_scanners) == ((Alarm.SCANNER,), 0)
    unnamed = Pile(studies=20, scanners=["A"] * 20)
    assert judge_week(MONDAY, unnamed, before).kernels is None, (
        "images that name no kernel are no other kernel"
    )


def test_another_package_is_not_judged_by_the_distances_of_the_one_before() -> None:
    before = Pile(studies=100, distances={"old": [0.5] * 100})
    near = judge_week(MONDAY, Pile(studies=20, distances={"new": [0.9] * 20}), before)
    assert near.away is not None
    assert (near.away.distance, near.alarms) == (None, ())
    far = judge_week(MONDAY, Pile(studies=20, distances={"new": [1.5] * 12 + [0.5] * 8}), before)
    assert far.alarms == (Alarm.EMBEDDING,)
    assert judge_week(MONDAY, Pile(studies=20, distances={"new": [1.5] * 9}), before).away is None


def test_a_week_begins_on_monday_in_thailand() -> None:
    assert week_of(datetime(2026, 11, 22, 16, 59, tzinfo=UTC)).isoformat() == "2026-11-16"
    assert week_of(datetime(2026, 11, 22, 17, 0, tzinfo=UTC)).isoformat() == "2026-11-23"
