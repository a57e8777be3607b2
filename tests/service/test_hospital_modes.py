"""Silent and live: who switched a hospital, and that nobody switched it is live."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.accounts import OPERATOR
from service.audit import AuditEntry
from service.errors import NotFound
from service.hospital_modes import Mode, mode_of, modes, switch_mode
from tests.service.factories import LOEI, UDON


def test_a_hospital_that_nobody_switched_is_live(session: Session) -> None:
    assert mode_of(session, UDON) is Mode.LIVE
    assert mode_of(session, None) is Mode.LIVE


def test_a_switch_is_kept_and_audited_once(session: Session) -> None:
    for _ in range(2):
        switch_mode(session, OPERATOR, UDON, Mode.SILENT)
    assert (mode_of(session, UDON), mode_of(session, LOEI)) == (Mode.SILENT, Mode.LIVE)
    assert modes(session)[UDON].switched_by == "operator"
    switch_mode(session, OPERATOR, UDON, Mode.LIVE)
    assert mode_of(session, UDON) is Mode.LIVE
    actions = session.scalars(select(AuditEntry.action).where(AuditEntry.action.like("hospital.%"))).all()
    assert actions == ["hospital.silent", "hospital.live"]


def test_an_unknown_hospital_is_refused(session: Session) -> None:
    with pytest.raises(NotFound, match="99999"):
        switch_mode(session, OPERATOR, "99999", Mode.SILENT)
