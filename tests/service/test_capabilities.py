"""What hospitals state: the seed says no more than the region's list, the newest statement counts."""

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.accounts import OPERATOR, Role, Viewer
from service.capabilities import (
    REGION_LIST,
    Capability,
    CapabilityStatement,
    seed_capabilities,
    state_capability,
    stated,
    stated_of,
)
from service.errors import NotAllowed, NotFound
from tests.service.factories import LOEI, UDON

DAN_SAI = "11447"
OF_UDON = Viewer("u", Role.SPECIALIST, UDON)


def test_the_seed_says_what_the_list_says_and_no_more(session: Session) -> None:
    assert seed_capabilities(session) == 23 + 7
    says = stated(session)
    assert {each for each in says.values() for each in each} == {Capability.CT, Capability.MRI}
    assert set(says[UDON]) == {Capability.CT, Capability.MRI}
    assert DAN_SAI not in says
    assert {row.stated_by for row in says[UDON].values()} == {REGION_LIST}
    assert all(row.available for each in says.values() for row in each.values())


def test_seeding_again_adds_nothing_and_overrules_nobody(session: Session) -> None:
    seed_capabilities(session)
    state_capability(session, OF_UDON, UDON, Capability.CT, available=False)
    assert seed_capabilities(session) == 0
    assert not stated_of(session, UDON)[Capability.CT].available


def test_the_newest_statement_counts_and_the_older_stay(session: Session) -> None:
    for available in (True, True, False):
        state_capability(session, OF_UDON, UDON, Capability.NEUROSURGERY, available=available)
    assert not stated_of(session, UDON)[Capability.NEUROSURGERY].available
    assert session.scalar(select(func.count()).select_from(CapabilityStatement)) == 2


def test_only_the_hospital_itself_or_an_administrator_states(session: Session) -> None:
    with pytest.raises(NotAllowed, match=LOEI):
        state_capability(session, OF_UDON, LOEI, Capability.CT, available=True)
    with pytest.raises(NotAllowed):
        state_capability(session, Viewer("r", Role.RADIOLOGIST, None), LOEI, Capability.CT, available=True)
    assert state_capability(session, OPERATOR, LOEI, Capability.CT, available=True).stated_by == "operator"
    with pytest.raises(NotFound):
        state_capability(session, OPERATOR, "99999", Capability.CT, available=True)
