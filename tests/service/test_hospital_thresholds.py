"""A hospital's own thresholds: set from reviews, refused in figures, undone, and of one package alone."""

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from model.calibration import TypeCalibration
from model.stroke import StrokeType
from service.db import session_scope
from service.errors import (
    BadRequest,
    Changed,
    NotAllowed,
    NotFound,
    NotReady,
    SensitivityFalls,
    TooFewReviews,
)
from service.findings import analysis_of, findings_of, record_prediction
from service.hospital_thresholds import (
    HIGHEST,
    apply_threshold,
    hospitals_with_thresholds,
    threshold_rows,
    thresholds_in_force,
    undo_threshold,
)
from service.own_thresholds import Own
from service.results import result
from service.studies import begin_analysis
from service.thresholds import LEAST
from tests.service.factories import LOEI, UDON, prediction, registered
from tests.service.modelling import ADMIN, ML
from tests.service.test_thresholds import reviewed

ICH = StrokeType.ANY_ICH
DIGEST = "d" * 64


def package(digest: str = DIGEST) -> Own:
    """Answers for any haemorrhage alone, from 0.5 on."""
    row = TypeCalibration(assessed=True, temperature=1.0, flag=0.5, clear=0.2, num_positive=9, num_negative=9)
    silent = TypeCalibration(
        assessed=False, temperature=1.0, flag=0.5, clear=0.5, num_positive=0, num_negative=0
    )
    return Own("tiny", digest, {kind: row if kind is ICH else silent for kind in StrokeType})


@pytest.fixture
def enough(session: Session) -> Session:
    reviewed(session, UDON, 2 * LEAST, positive=LEAST)
    return session


def in_force(session: Session, digest: str = DIGEST, hcode: str = UDON) -> float | None:
    row = thresholds_in_force(session, digest, hcode).get(ICH)
    return row.flag if row else None


def test_set_as_proposed_and_by_hand_and_undone_with_all_of_it_kept(enough: Session) -> None:
    made = apply_threshold(enough, ML, package(), UDON, ICH, reason="reviews of May")
    assert made.flag is not None
    assert 0.4 < made.flag < 0.8
    assert (made.before, made.package_flag, made.by, made.positive, made.negative) == (
        *(0.5, 0.5, "ml"),
        *(LEAST, LEAST),
    )
    assert in_force(enough) == made.flag
    lower = apply_threshold(enough, ML, package(), UDON, ICH, flag=0.3, reason="missed one", seen=made.flag)
    assert (lower.before, lower.sensitivity, in_force(enough)) == (made.flag, 1.0, 0.3)
    back = undo_threshold(enough, ML, package(), UDON, ICH, reason="too many flags", seen=0.3)
    assert (back.flag, back.before, in_force(enough)) == (None, 0.3, None)
    kept = threshold_rows(enough, ML, hcode=UDON)
    assert [row.reason for row in kept] == ["too many flags", "missed one", "reviews of May"]
    assert hospitals_with_thresholds(enough, ML) == []
    with pytest.raises(NotReady, match=r"by its own threshold 0\.500 already"):
        undo_threshold(enough, ML, package(), UDON, ICH, reason="again")


@pytest.mark.one_database
def test_it_belongs_to_one_package_one_hospital_and_one_finding(enough: Session) -> None:
    apply_threshold(enough, ML, package(), UDON, ICH, flag=0.3, reason="reviews")
    assert thresholds_in_force(enough, "e" * 64, UDON) == {}
    assert thresholds_in_force(enough, DIGEST, LOEI) == {}
    assert thresholds_in_force(enough, DIGEST, None) == {}
    assert list(thresholds_in_force(enough, DIGEST, UDON)) == [ICH]
    with pytest.raises(TooFewReviews):  # another package begins with no review of its own
        apply_threshold(enough, ML, package("e" * 64), UDON, ICH, flag=0.3, reason="reviews")
    assert in_force(enough) == 0.3


@pytest.mark.one_database
def test_what_would_miss_more_is_refused_in_figures_and_overridden_by_an_administrator(
    enough: Session,
) -> None:
    with pytest.raises(SensitivityFalls, match=r"from 0\.940 on \d+\.\d% of 30 reviewed .* floor is 90%"):
        apply_threshold(enough, ML, package(), UDON, ICH, flag=0.94, reason="fewer flags")
    with pytest.raises(NotAllowed):
        apply_threshold(enough, ML, package(), UDON, ICH, flag=0.94, reason="fewer flags", override=True)
    made = apply_threshold(enough, ADMIN, package(), UDON, ICH, flag=0.94, reason="a trial", override=True)
    assert made.overridden
    assert made.sensitivity is not None
    assert made.sensitivity < 0.9
    # from below the floor, up is no fall
    better = apply_threshold(enough, ML, package(), UDON, ICH, flag=0.3, reason="the trial ended")
    assert not better.overridden


@pytest.mark.one_database
def test_refusals(enough: Session) -> None:
    reviewed(enough, LOEI, 8, positive=2)
    own = package()
    with pytest.raises(TooFewReviews, match="2 studies of tiny with any_ich and 6 without; 30 of each"):
        apply_threshold(enough, ADMIN, own, LOEI, ICH, flag=0.3, reason="x", override=True)
    for beyond in (0.0, 0.019, HIGHEST + 0.001, 1.0):
        with pytest.raises(BadRequest, match=r"is outside 0\.02 to 0\.95"):
            apply_threshold(enough, ADMIN, own, UDON, ICH, flag=beyond, reason="x", override=True)
    with pytest.raises(BadRequest, match="needs a reason"):
        apply_threshold(enough, ML, own, UDON, ICH, flag=0.3, reason=" ")
    with pytest.raises(BadRequest, match="does not answer for sdh"):
        apply_threshold(enough, ML, own, UDON, StrokeType.SDH, flag=0.3, reason="x")
    with pytest.raises(NotFound):
        apply_threshold(enough, ML, own, "99999", ICH, flag=0.3, reason="x")
    with pytest.raises(Changed, match=r"from 0\.500 on now"):
        apply_threshold(enough, ML, own, UDON, ICH, flag=0.3, reason="x", seen=0.4)
    assert in_force(enough) is None


@pytest.mark.one_database
def test_a_finding_names_the_threshold_that_it_was_judged_by(enough: Session) -> None:
    row = apply_threshold(enough, ML, package(), UDON, ICH, flag=0.3, reason="missed one")
    study = registered(enough, "1.2.3")
    begin_analysis(enough, study)
    record_prediction(enough, study, prediction(ICH), thresholds={ICH: row.id})
    analysis = analysis_of(enough, study)
    assert analysis is not None
    assert [each.threshold_id for each in findings_of(enough, analysis)] == [row.id, None, None, None]
    first, second, *_ = result(enough, study)["findings"]
    assert first["threshold_set_by"] == {
        "number": row.id,
        "hospital": UDON,
        "by": "ml",
        "at": row.at.isoformat(),
        "reason": "missed one",
        "reviews": 2 * LEAST,
        "package_threshold": 0.5,
    }
    assert second["threshold_set_by"] is None


def test_the_history_is_never_changed(engine: Engine) -> None:
    with session_scope(engine) as session:
        reviewed(session, UDON, 2 * LEAST, positive=LEAST)
        apply_threshold(session, ML, package(), UDON, ICH, flag=0.3, reason="reviews")
    for change in ("UPDATE hospital_thresholds SET flag = 0.9", "DELETE FROM hospital_thresholds"):
        with pytest.raises(DatabaseError, match="never changed"), session_scope(engine) as session:
            session.execute(text(change))
    with session_scope(engine) as session:
        assert np.isclose(in_force(session) or 0, 0.3)
