"""What several reads come to: agreement, majority, adjudication, and soft labels that keep the doubt."""

from dataclasses import replace

import pytest

from labeling.consensus import agree
from labeling.labels import Haemorrhage, Issue, Kind, Label, Presence, Quality
from model.stroke import StrokeType
from tests.labeling.reads import NONE, bleed, infarct, normal

UNSURE = replace(
    normal(), haemorrhage=Haemorrhage(Presence.UNCERTAIN, {**NONE, Kind.SUBDURAL: Presence.UNCERTAIN})
)
BAD = Label(Quality(diagnostic=False, issues=(Issue.MOTION,)))


def test_one_reader_stands_alone() -> None:
    found = agree([bleed()])
    assert (found.labels[StrokeType.IPH], found.labels[StrokeType.SDH]) == (1, 0)
    assert (found.disputed, found.readers) == ((), 1)


def test_two_who_differ_go_to_an_adjudicator_and_the_soft_label_keeps_both() -> None:
    found = agree([bleed(), normal()])
    assert StrokeType.ANY_ICH in found.disputed
    assert found.labels[StrokeType.ANY_ICH] is None
    assert found.soft[StrokeType.ANY_ICH] == 0.5
    settled = agree([bleed(), normal()], bleed())
    assert settled.disputed == ()
    assert settled.labels[StrokeType.ANY_ICH] == 1
    assert settled.soft[StrokeType.ANY_ICH] == 0.5


def test_two_of_three_decide() -> None:
    found = agree([bleed(), normal(), bleed()])
    assert (found.labels[StrokeType.ANY_ICH], found.disputed) == (1, ())
    assert found.soft[StrokeType.ANY_ICH] == pytest.approx(2 / 3)


def test_three_who_all_differ_do_not() -> None:
    found = agree([bleed(), normal(), UNSURE])
    assert StrokeType.ANY_ICH in found.disputed


def test_an_unsure_reader_counts_half_and_leaves_no_label() -> None:
    found = agree([UNSURE])
    assert (found.labels[StrokeType.ANY_ICH], found.soft[StrokeType.ANY_ICH]) == (None, 0.5)
    assert found.disputed == ()


def test_a_study_that_most_cannot_read_is_unreadable() -> None:
    assert agree([BAD, BAD, normal()]).unreadable
    assert not agree([BAD, normal(), normal()]).unreadable
    half = agree([BAD, infarct()])
    assert set(half.disputed) == set(StrokeType)
    assert agree([BAD, infarct()], infarct()).disputed == ()
    assert agree([BAD, infarct()], BAD).unreadable
