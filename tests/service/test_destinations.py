"""The order of destinations: stated ability, nearness, load; what is not known is said and comes later."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import OPERATOR
from service.capabilities import Capability, seed_capabilities, state_capability
from service.destinations import Destination, Fit, rank_destinations, usual_needs
from service.errors import BadRequest, NotAllowed
from service.referral_states import Verb
from service.referral_steps import ReferralStep, move_referral, steps_of
from service.travel_times import FEWEST_JOURNEYS, roads_from, state_travel_time
from tests.service.factories import LOEI, UDON
from tests.service.referring import RECEIVER, SAKON, SENDER, SMALL, STRANGER, accepted, requested, small_study

KUMPHAWAPI = "11015"
NEURO = Capability.NEUROSURGERY


def codes(found: Sequence[Destination]) -> list[str]:
    return [each.hospital.hcode for each in found]


def test_a_stated_ability_comes_before_an_unknown_one_and_that_before_a_lack(session: Session) -> None:
    state_capability(session, OPERATOR, SAKON, NEURO, available=True)
    state_capability(session, OPERATOR, UDON, NEURO, available=False)
    found = rank_destinations(session, SMALL, [NEURO])
    assert (codes(found)[0], codes(found)[-1]) == (SAKON, UDON)
    assert [found[0].fit, found[1].fit, found[-1].fit] == [Fit.STATED, Fit.UNKNOWN, Fit.LACKING]
    assert len(found) == 87
    assert SMALL not in codes(found)


def test_where_nothing_is_stated_the_better_equipped_of_the_province_is_first_and_says_unknown(
    session: Session,
) -> None:
    seed_capabilities(session)
    first = rank_destinations(session, SMALL, [NEURO])[0]
    assert first.hospital.hcode == UDON
    assert first.reason(thai=False).startswith(
        "not known: neurosurgery · same province, travel time not known"
    )
    assert first.reason(thai=True).startswith("ไม่ทราบว่ามี ประสาทศัลยกรรม หรือไม่ · จังหวัดเดียวกัน")


def test_near_comes_before_far_and_a_stated_way_outweighs_the_province(session: Session) -> None:
    for hcode in (UDON, SAKON, LOEI):
        state_capability(session, OPERATOR, hcode, NEURO, available=True)
    assert codes(rank_destinations(session, SMALL, [NEURO]))[0] == UDON
    state_travel_time(session, OPERATOR, UDON, SMALL, 95)
    state_travel_time(session, OPERATOR, SMALL, LOEI, 80)
    found = rank_destinations(session, SMALL, [NEURO])
    assert codes(found)[:3] == [LOEI, UDON, SAKON]
    assert "80 min" in found[0].reason(thai=False)


def test_load_decides_between_equals_and_is_told(session: Session) -> None:
    for hcode in (UDON, KUMPHAWAPI):
        state_capability(session, OPERATOR, hcode, NEURO, available=True)
    assert codes(rank_destinations(session, SMALL, [NEURO]))[:2] == [UDON, KUMPHAWAPI]
    requested(session)
    found = rank_destinations(session, SMALL, [NEURO])
    assert codes(found)[:2] == [KUMPHAWAPI, UDON]
    assert "1 more on the way" in found[1].reason(thai=False)


def test_hospitals_asked_already_are_not_offered(session: Session) -> None:
    assert UDON not in codes(rank_destinations(session, SMALL, [], without=[UDON]))


def test_blood_needs_neurosurgery_and_a_clot_what_removes_it() -> None:
    assert usual_needs([StrokeType.SDH]) == [NEURO]
    assert usual_needs([StrokeType.HYPERDENSE_ARTERY]) == [Capability.THROMBOLYSIS, Capability.THROMBECTOMY]
    assert usual_needs([]) == []


class TestRoads:
    def test_journeys_of_referrals_measure_the_way_once_there_are_enough(self, session: Session) -> None:
        for number in range(FEWEST_JOURNEYS):
            assert roads_from(session, SMALL) == {}
            referral = accepted(session, small_study(session, f"1.2.{number}"))
            for verb, viewer in ((Verb.DEPART, SENDER), (Verb.ARRIVE, RECEIVER)):
                move_referral(session, referral, viewer, verb, version=None)
            left: ReferralStep = steps_of(session, referral)[-2]
            left.at -= timedelta(minutes=40 + number)
            session.flush()
        road = roads_from(session, SMALL)[UDON]
        assert (road.minutes, road.journeys) == (41, FEWEST_JOURNEYS)
        state_travel_time(session, SENDER, SMALL, UDON, 55)
        assert roads_from(session, SMALL)[UDON].minutes == roads_from(session, UDON)[SMALL].minutes == 55

    def test_only_who_lives_at_one_end_states_a_way_that_can_be(self, session: Session) -> None:
        with pytest.raises(NotAllowed):
            state_travel_time(session, STRANGER, SMALL, UDON, 50)
        with pytest.raises(BadRequest, match="0 minutes"):
            state_travel_time(session, SENDER, SMALL, UDON, 0)
        with pytest.raises(BadRequest, match="away from itself"):
            state_travel_time(session, SENDER, SMALL, SMALL, 5)
