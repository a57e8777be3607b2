"""Thresholds from reviews: proposed with an interval from enough of them, and too few is said as that."""

from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import OPERATOR
from service.findings import record_prediction
from service.reviews import review_finding
from service.studies import begin_analysis
from service.thresholds import LEAST, propose_thresholds
from service.verdicts import Verdict
from tests.service.factories import LOEI, UDON, prediction, registered
from tests.service.modelling import ML

pytestmark = pytest.mark.one_database  # sums are made in Python


def reviewed(session: Session, hcode: str, number: int, *, positive: int, digest: str = "d" * 64) -> None:
    """Studies of which so many have a bleed, with scores that overlap a little, and a word on each."""
    chance = np.random.default_rng(1)
    for n in range(number):
        bleeds = n < positive
        study = registered(session, f"1.{hcode}.{n}", hcode=hcode)
        begin_analysis(session, study)
        score = float(np.clip(chance.normal(0.8 if bleeds else 0.3, 0.1), 0, 1))
        said = prediction()
        kinds = [
            replace(s, probability=score) if s.stroke_type is StrokeType.ANY_ICH else s for s in said.scores
        ]
        record_prediction(session, study, replace(said, scores=tuple(kinds), model_digest=digest))
        if bleeds:
            review_finding(session, study, OPERATOR, Verdict.CORRECT, present=[StrokeType.SAH])
        else:
            review_finding(session, study, OPERATOR, Verdict.AGREE)


def test_enough_reviews_give_a_threshold_between_the_groups_and_few_give_none(session: Session) -> None:
    reviewed(session, UDON, 2 * LEAST, positive=LEAST)
    reviewed(session, LOEI, 8, positive=2)
    udon, loei = propose_thresholds(session, ML, "d" * 64)
    assert (udon.hcode, udon.positive, udon.negative, udon.present) == (UDON, LEAST, LEAST, 0.5)
    assert udon.flag is not None
    assert udon.low is not None
    assert udon.high is not None
    assert 0.4 < udon.low <= udon.flag <= udon.high < 0.8
    assert (loei.positive, loei.negative, loei.flag, loei.low) == (2, 6, None, None)
    assert [each.hcode for each in propose_thresholds(session, ML, "d" * 64, hcode=LOEI)] == [LOEI]
    assert propose_thresholds(session, ML, "e" * 64) == []
    of_sah = propose_thresholds(session, ML, "d" * 64, StrokeType.SAH, hcode=UDON)
    assert [(each.positive, each.negative) for each in of_sah] == [(LEAST, LEAST)]
    assert propose_thresholds(session, ML, "d" * 64, StrokeType.SDH, hcode=UDON)[0].positive == 0
