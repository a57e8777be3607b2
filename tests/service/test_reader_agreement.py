"""Readers against what a case came to without them: a bad reader is told from good ones, and by how much."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from labeling.assignment import Design
from labeling.labels import Label
from labeling.splits import Shares
from service.adjudications import adjudicate
from service.assignments import Assignment
from service.reader_agreement import by_reader
from service.reads import save_label
from service.workloads import who_may_label, workloads
from tests.service.labelling import BLEED, IMAGES, NORMAL, entered, given_out, reader

pytestmark = pytest.mark.one_database  # plain selects

ALL_READ_ALL = Design(common=4, double_share=0, rereads=0)
ALL_READ_ONE = Design(common=1, double_share=0, rereads=0)


def said(case: int, name: str) -> Label:
    """Cases 1 and 2 bleed; r3 sees blood everywhere, r4 nowhere."""
    bleeds = {"r3": True, "r4": False}.get(name, case <= 2)
    return BLEED if bleeds else NORMAL


@pytest.fixture
def read(session: Session) -> Session:
    given_out(
        session, cases=4, readers=("r1", "r2", "r3", "r4", "r5"), design=ALL_READ_ALL,
        shares=Shares(calibration=0, test=0),
    )  # fmt: skip
    for turn in session.scalars(select(Assignment).order_by(Assignment.id)).all():
        if turn.reader != "r5":
            save_label(
                session, reader(turn.reader), turn.id, entered(said(turn.case_id, turn.reader)), IMAGES
            )
    return session


def test_everybody_is_measured_by_the_others_alone(read: Session) -> None:
    rows = {each.reader: each for each in by_reader(read, "any_ich")}
    assert set(rows) == {"r1", "r2", "r3", "r4"}
    good, seer, blind = rows["r1"], rows["r3"], rows["r4"]
    assert (good.found, good.cleared, good.reads) == ((2, 2), (2, 2), 4)
    assert good.kappa.value == 1
    assert (seer.found, seer.cleared) == ((2, 2), (0, 2))
    assert (blind.found, blind.cleared) == ((0, 2), (2, 2))
    assert seer.kappa.value == 0
    assert good.again.cases == 0


def test_an_adjudicators_word_goes_before_the_others(session: Session) -> None:
    shares = Shares(calibration=0, test=0)
    given_out(session, cases=1, readers=("r1", "r2"), design=ALL_READ_ONE, shares=shares)
    for turn, label in zip(session.scalars(select(Assignment)).all(), (NORMAL, BLEED), strict=True):
        save_label(session, reader(turn.reader), turn.id, entered(label), IMAGES)
    before = {each.found + each.cleared for each in by_reader(session, "any_ich")}
    assert before == {(0, 1, 0, 0), (0, 0, 0, 1)}  # each is wrong by the other
    adjudicate(session, reader("judge"), 1, entered(BLEED), IMAGES)
    assert sorted(each.found for each in by_reader(session, "any_ich")) == [(0, 1), (1, 1)]


def test_the_workload_tells_what_is_left(read: Session) -> None:
    rows = {each.reader: each for each in workloads(read)}
    assert (rows["r1"].done, rows["r1"].left) == (4, 0)
    assert (rows["r5"].left, rows["r5"].last, rows["r5"].minutes) == (4, None, None)
    assert rows["r1"].minutes is not None
    assert who_may_label(read) == ["judge", "r1", "r2", "r3", "r4", "r5"]
