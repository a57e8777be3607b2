"""From rows to the ministry's values, and who may have a hospital's files."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.accounts import Role, Viewer
from service.capabilities import Capability
from service.db import now
from service.errors import NotFound
from service.moph.reading import read_refer, refers_of
from service.referral_states import Reason, ReferralState, Verb
from service.referral_steps import (
    complete_referral,
    follow_referral,
    identify_patient,
    move_referral,
    request_referral,
)
from service.referrals import Referral, open_draft
from service.reports import add_report
from tests.service.factories import HN, UDON
from tests.service.referring import (
    RECEIVER,
    SAKON,
    SENDER,
    SMALL,
    STRANGER,
    accepted,
    details,
    draft,
    requested,
    small_study,
)

DAY = timedelta(days=1)


def arrived(session: Session, **changes: Any) -> Referral:
    referral = accepted(session, hn="0099", **changes)
    move_referral(session, referral, RECEIVER, Verb.ARRIVE, version=None)
    return referral


def test_a_requested_referral(session: Session) -> None:
    refer = read_refer(session, requested(session))
    assert (refer.hospcode, refer.destination, refer.hn) == (SMALL, UDON, HN)
    assert refer.referid.endswith("-000001")
    assert refer.outcome.state is ReferralState.REQUESTED
    assert refer.ct is not None
    assert (refer.ct.name, refer.ct.report) == ("CT BRAIN", "")
    assert refer.disease_group == "02"
    assert (refer.origin, refer.sends_back, refer.served_at) == (None, False, None)


def test_a_draft_has_nothing_to_tell(session: Session) -> None:
    with pytest.raises(NotFound, match="not requested yet"):
        read_refer(session, draft(session))


def test_the_radiologists_report_goes_along_and_the_ais_word_does_not(session: Session) -> None:
    study = small_study(session)
    referral = requested(session, study)
    before = read_refer(session, referral).ct
    assert before is not None
    assert (before.report, before.reported_at) == ("", None)
    add_report(session, study, Viewer("rad", Role.RADIOLOGIST, SMALL), "left basal ganglia hemorrhage")
    ct = read_refer(session, referral).ct
    assert ct is not None
    assert ct.report == "left basal ganglia hemorrhage"
    assert ct.reported_at is not None


def test_who_asks_for_thrombolysis_speaks_of_a_stroke(session: Session) -> None:
    told = details(icd10="")
    assert read_refer(session, requested(session, details=told)).disease_group is None
    other = small_study(session, "1.2.4")
    asks = requested(session, other, details=told, needs=[Capability.THROMBOLYSIS])
    assert read_refer(session, asks).disease_group == "02"


def test_a_rejection_and_the_next_hospital(session: Session) -> None:
    referral = requested(session)
    move_referral(session, referral, RECEIVER, Verb.REJECT, reason=Reason.NO_BED, note="เต็ม", version=None)
    outcome = read_refer(session, referral).outcome
    assert outcome.words == "ไม่มีเตียง – เต็ม"
    following = read_refer(session, follow_referral(session, referral, SENDER, to=SAKON))
    assert following.origin is not None
    assert (following.origin.referid, following.origin.hospcode) == (referral.serial, SMALL)


def test_onward_and_back_the_number_is_the_one_at_the_hospital_that_refers(session: Session) -> None:
    study = small_study(session)
    first = arrived(session, study=study)
    onward = open_draft(session, study, RECEIVER, to=SMALL, urgency=4, details=details())
    request_referral(session, onward, RECEIVER, version=None)
    refer = read_refer(session, onward)
    assert refer.hn == "0099"
    assert refer.sends_back
    assert refer.origin is not None
    assert refer.origin.referid == first.serial


def test_arrival_and_reply(session: Session) -> None:
    referral = arrived(session)
    identify_patient(session, referral, RECEIVER, "0100")
    complete_referral(session, referral, RECEIVER, reply="craniotomy", version=None)
    outcome = read_refer(session, referral).outcome
    assert (outcome.hn, outcome.reply) == ("0100", "craniotomy")
    assert outcome.arrived_at is not None
    assert outcome.replied_at is not None


def test_each_hospital_gets_its_own_side_and_no_other(session: Session) -> None:
    referral = accepted(session)
    span = {"since": now() - DAY, "until": now() + DAY}
    sent, received = refers_of(session, SENDER, SMALL, **span)
    assert ([each.referid for each in sent], received) == ([referral.serial], [])
    sent, received = refers_of(session, RECEIVER, UDON, **span)
    assert (sent, [each.referid for each in received]) == ([], [referral.serial])
    assert refers_of(session, STRANGER, SAKON, **span) == ([], [])
    with pytest.raises(NotFound):
        refers_of(session, STRANGER, SMALL, **span)
    assert refers_of(session, SENDER, SMALL, since=now() + DAY, until=now() + 2 * DAY) == ([], [])
