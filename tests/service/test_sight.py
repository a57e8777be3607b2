"""Sight: a hospital that was shown a study sees that one, read only, everywhere, and no other."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from pacs_gateway.searching import read_search
from service.accounts import OPERATOR, Role, Viewer
from service.audit import AuditEntry
from service.db import now
from service.errors import NotFound
from service.grants import Because, StudyGrant, end_grants, grant_study
from service.imaging_search import search_studies
from service.patient_search import find_patients, other_studies
from service.sight import find_own_study, find_study, find_study_number, owns
from service.states import StudyState
from service.worklist import worklist
from tests.pacs import await_condition
from tests.service.factories import HN, LOEI, NAME, UDON, analysed

HELPER = Viewer("malee", Role.SPECIALIST, LOEI)
OWNER = Viewer("somchai", Role.RADIOLOGIST, UDON)
CONSULT = Because.CONSULT


def show(session: Session, uid: str = "1.2.3", subject: int = 1, because: Because = CONSULT) -> None:
    study = find_study(session, uid, OPERATOR)
    grant_study(session, study.id, LOEI, because=because, subject=subject, actor=OWNER.username)


def listed(session: Session, viewer: Viewer = HELPER, **how: object) -> list[str]:
    return [each.study_instance_uid for each in worklist(session, viewer, **how).studies]  # type: ignore[arg-type]


@pytest.fixture
def three(session: Session) -> Session:
    """A flagged study and an older one of the same patient at Udon, and one of Loei's own."""
    analysed(session, "1.2.3", StrokeType.SAH)
    analysed(session, "1.2.4")
    analysed(session, "8.8.8", StrokeType.SDH, hcode=LOEI, patient_name="สมชาย^ดีใจ", patient_id="77")
    return session


class TestSeeing:
    def test_before_and_after_it_is_not_found(self, three: Session) -> None:
        with pytest.raises(NotFound):
            find_study(three, "1.2.3", HELPER)
        show(three)
        assert find_study(three, "1.2.3", HELPER).hcode == UDON
        end_grants(three, because=CONSULT, subject=1, actor=OWNER.username)
        with pytest.raises(NotFound):
            find_study(three, "1.2.3", HELPER)

    def test_the_patients_other_studies_are_not_shown_with_it(self, three: Session) -> None:
        show(three)
        with pytest.raises(NotFound):
            find_study(three, "1.2.4", HELPER)
        assert other_studies(three, HELPER, find_study(three, "1.2.3", HELPER)) == []

    def test_it_may_be_looked_at_and_not_changed(self, three: Session) -> None:
        show(three)
        with pytest.raises(NotFound):
            find_own_study(three, "1.2.3", HELPER)
        assert find_own_study(three, "1.2.3", OWNER).study_instance_uid == "1.2.3"
        study = find_study(three, "1.2.3", HELPER)
        assert [owns(each, study) for each in (HELPER, OWNER, OPERATOR)] == [False, True, True]

    def test_two_reasons_end_one_by_one(self, three: Session) -> None:
        show(three, subject=1)
        show(three, subject=1, because=Because.REFERRAL)
        end_grants(three, because=CONSULT, subject=1, actor=OWNER.username)
        assert find_study(three, "1.2.3", HELPER)

    def test_showing_again_after_the_end_opens_the_same_grant(self, three: Session) -> None:
        show(three)
        show(three)
        end_grants(three, because=CONSULT, subject=1, actor=OWNER.username, hcode=LOEI)
        show(three)
        assert len(three.scalars(select(StudyGrant)).all()) == 1
        actions = three.scalars(select(AuditEntry.action).where(AuditEntry.actor == "somchai")).all()
        assert actions == ["study.shown", "study.hidden", "study.shown"]


class TestNumber:
    """`find_study_number` keeps a statement for each viewer; what it finds follows the rows all the same."""

    def same(self, session: Session, uid: str = "1.2.3") -> bool:
        """Whether the helper sees the study, by both ways."""
        seen = []
        for find in (
            lambda: find_study(session, uid, HELPER).id,
            lambda: find_study_number(session, uid, HELPER),
        ):
            try:
                seen.append(find())
            except NotFound:
                seen.append(None)
        assert seen[0] == seen[1]
        return seen[0] is not None

    def test_a_study_is_seen_from_its_showing_to_its_end(self, three: Session) -> None:
        assert not self.same(three)
        show(three)
        assert self.same(three)
        assert not self.same(three, "1.2.4")
        assert self.same(three, "8.8.8")
        end_grants(three, because=CONSULT, subject=1, actor=OWNER.username)
        assert not self.same(three)

    def test_an_end_that_lies_ahead_comes_by_itself(self, three: Session) -> None:
        show(three)
        assert self.same(three)  # the statement is made before the end
        soon = now() + timedelta(seconds=0.3)
        end_grants(three, because=CONSULT, subject=1, actor=OWNER.username, at=soon)

        def is_hidden() -> bool:
            try:
                find_study_number(three, "1.2.3", HELPER)
            except NotFound:
                return True
            return False

        await_condition(is_hidden, "the end")
        assert now() >= soon


class TestLists:
    def test_the_worklist_holds_it_in_its_place(self, three: Session) -> None:
        assert listed(three) == ["8.8.8"]
        show(three)
        assert sorted(listed(three)) == ["1.2.3", "8.8.8"]
        assert listed(three) == [each for each in listed(three, OPERATOR) if each != "1.2.4"]

    def test_filters_narrow_what_was_shown_too(self, three: Session) -> None:
        show(three)
        assert listed(three, hcode=UDON) == ["1.2.3"]
        assert listed(three, hcode=LOEI) == ["8.8.8"]
        assert listed(three, finding=StrokeType.SAH) == ["1.2.3"]
        assert listed(three, state=StudyState.CLEAR) == []

    def test_pages_hold_every_study_once(self, three: Session) -> None:
        show(three, "1.2.3")
        show(three, "1.2.4", subject=2)
        first = worklist(three, HELPER, limit=2)
        second = worklist(three, HELPER, limit=2, after=first.next)
        assert second.next is None
        uids = [each.study_instance_uid for each in [*first.studies, *second.studies]]
        assert sorted(uids) == ["1.2.3", "1.2.4", "8.8.8"]

    def test_searches_find_it(self, three: Session) -> None:
        assert find_patients(three, HELPER, HN) == []
        show(three)
        for text in (HN, NAME.split("^")[0], NAME.replace("^", " ")):
            assert [each.study_instance_uid for each in find_patients(three, HELPER, text)] == ["1.2.3"]
        assert find_patients(three, HELPER, "nobody here") == []
        found = search_studies(three, HELPER, read_search([]))
        assert sorted(each.study.study_instance_uid for each in found.studies) == ["1.2.3", "8.8.8"]
