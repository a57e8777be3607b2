"""Cases: admitted and screened with reasons, seen by who may, one patient over many numbers."""

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy.orm import Session

from labeling.answers import Answer, Answers, Criterion
from labeling.patients import Why
from labeling.splits import Part, Shares
from model.stroke import Refusal
from service.accounts import Role, Viewer
from service.audit import entries_of
from service.case_identities import parts_of, say_same, suspects
from service.case_states import CaseState
from service.cases import (
    admit_case,
    find_case,
    flow_of,
    judgement_of,
    list_cases,
    read_onset,
    screen,
    screen_again,
)
from service.errors import AlreadyExists, BadRequest, NotFound, NotReady
from service.studies import Study, note_receiving
from tests.service.factories import LOEI, UDON, progress, registered
from tests.service.labelling import GOOD, KEY, ML, TECHNICIAN, admitted

NO = replace(GOOD, said={**GOOD.said, Criterion.REPORT: Answer.NO, Criterion.ADULT: Answer.NO})


class TestAdmit:
    def test_a_good_case_is_eligible_at_once_and_audited(self, session: Session) -> None:
        case = admitted(session)
        assert (case.state, case.doubts, case.hcode) == (CaseState.ELIGIBLE, [], UDON)
        last = entries_of(session, case.study_id)[-1]
        assert (last.actor, last.action, last.detail["state"]) == ("technician", "case.admit", "eligible")

    def test_every_reason_of_an_excluded_case_is_kept(self, session: Session) -> None:
        study = registered(session, "1.2.9", age_years=9.0, birth_date=date(2017, 1, 1))
        case = admit_case(session, TECHNICIAN, "1.2.9", NO, KEY)
        assert case.state is CaseState.EXCLUDED
        assert case.excluded_by == ["adult", "report"]
        assert case.study_id == study.id

    def test_a_contradiction_waits_for_a_person_who_settles_it(self, session: Session) -> None:
        case = admitted(session, age_years=16.0, birth_date=None)
        assert (case.state, case.doubts) == (CaseState.UPLOADED, [["adult", "age_contradicts"]])
        assert "16.0 years" in judgement_of(session, case).doubts[0].text.en
        screen(session, ML, case.id, {Criterion.ADULT: Answer.NO})
        assert (case.state, case.excluded_by, case.screened_by) == (CaseState.EXCLUDED, ["adult"], "ml")
        screen(session, ML, case.id, {Criterion.ADULT: Answer.UNKNOWN})
        assert case.state is CaseState.UPLOADED

    def test_a_skull_defect_that_the_model_saw_is_asked_about(self, session: Session) -> None:
        study = registered(session, "1.2.9", patient_id="9")
        study.reasons = [Refusal.POST_SURGERY.value, Refusal.ARTEFACT.value]
        case = admit_case(session, TECHNICIAN, "1.2.9", GOOD, KEY)
        assert {doubt for _, doubt in case.doubts} == {"skull_defect", "motion", "no_report_text"}

    def test_what_the_images_say_later_is_held_against_the_answers(self, session: Session) -> None:
        """A hospital answers as soon as the images are up, before they are analysed."""
        case = admitted(session)
        study = session.get_one(Study, case.study_id)
        assert screen_again(session, study) is None
        study.reasons = [Refusal.POST_SURGERY.value]
        assert screen_again(session, study) is case
        assert (case.state, case.doubts) == (CaseState.UPLOADED, [["no_surgery", "skull_defect"]])
        last = entries_of(session, case.study_id)[-1]
        assert (last.actor, last.action, last.detail["state"]) == ("hub", "case.screen", "uploaded")
        case.state, study.reasons = CaseState.ASSIGNED, []
        assert screen_again(session, study) is None
        assert screen_again(session, registered(session, "1.2.8", patient_id="8")) is None

    def test_answers_may_change_until_the_case_is_given_out(self, session: Session) -> None:
        case = admitted(session)
        uid = session.get_one(Study, case.study_id).study_instance_uid
        again = admit_case(session, TECHNICIAN, uid, replace(GOOD, icd10="I69.3"), KEY)
        assert (again.id, again.state) == (case.id, CaseState.UPLOADED)
        case.state = CaseState.ASSIGNED
        with pytest.raises(AlreadyExists, match="assigned already"):
            admit_case(session, TECHNICIAN, uid, GOOD, KEY)

    def test_another_hospitals_study_is_not_found_and_one_still_arriving_waits(
        self, session: Session
    ) -> None:
        registered(session, "1.2.9", hcode=LOEI)
        with pytest.raises(NotFound):
            admit_case(session, TECHNICIAN, "1.2.9", GOOD, KEY)
        note_receiving(session, progress("1.2.8"))
        with pytest.raises(NotReady, match="still arriving"):
            admit_case(session, TECHNICIAN, "1.2.8", GOOD, KEY)

    @pytest.mark.parametrize("citizen", ["123", "1101700230709", "๑๑๐๑๗๐๐๒๓๐๗๐๘"])
    def test_a_citizen_id_that_is_none_is_refused_without_being_named(
        self, session: Session, citizen: str
    ) -> None:
        registered(session, "1.2.9")
        with pytest.raises(BadRequest, match="13 digits") as refused:
            admit_case(session, TECHNICIAN, "1.2.9", GOOD, KEY, citizen_id=citizen)
        assert citizen not in str(refused.value)

    @pytest.mark.parametrize("text", ["yesterday", "2026-11-22T16:00", "2026-13-01"])
    def test_an_onset_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(BadRequest, match="onset"):
            read_onset(text)


class TestSight:
    def test_a_hospital_sees_its_own_and_the_ml_team_all(self, session: Session) -> None:
        one, other = admitted(session, 1), admitted(session, 2, hcode=LOEI)
        loei = Viewer("t", Role.TECHNICIAN, LOEI)
        assert [case.id for case, _ in list_cases(session, loei)] == [other.id]
        assert [case.id for case, _ in list_cases(session, ML)] == [other.id, one.id]
        assert [case.id for case, _ in list_cases(session, ML, before=other.id, hcode=UDON)] == [one.id]
        assert list_cases(session, ML, state=CaseState.EXCLUDED) == []
        with pytest.raises(NotFound):
            find_case(session, loei, one.id)
        assert flow_of(session, loei).uploaded == 1

    def test_the_flow_counts_the_rows(self, session: Session) -> None:
        for n in range(3):
            admitted(session, n)
        admitted(session, 4, answers=NO, age_years=9.0, birth_date=date(2017, 1, 1))
        admitted(session, 5, answers=Answers({}, ""))
        flow = flow_of(session, ML)
        assert (flow.uploaded, flow.eligible, flow.waiting) == (5, 3, 2)
        # the text of a report is there, so "no report" is a contradiction
        assert flow.excluded == 0


class TestPatients:
    CITIZEN = "1101700230708"

    def test_one_citizen_in_two_hospitals_is_kept_in_one_part(self, session: Session) -> None:
        first = admitted(session, 1)
        second = admitted(session, 2, hcode=LOEI)
        for case, viewer in ((first, TECHNICIAN), (second, Viewer("t", Role.TECHNICIAN, LOEI))):
            uid = session.get_one(Study, case.study_id).study_instance_uid
            admit_case(session, viewer, uid, GOOD, KEY, citizen_id=self.CITIZEN)
        assert self.CITIZEN not in first.citizen_key
        parts = parts_of(session, Shares(hospitals=(LOEI,)))
        assert parts == {first.id: Part.LEFT_OUT, second.id: Part.EXTERNAL}

    def test_two_who_look_alike_are_offered_and_decided(self, session: Session) -> None:
        alike = {"patient_name": "สมหญิง^ใจดี", "birth_date": date(1950, 2, 3)}
        one, other = admitted(session, 1, **alike), admitted(session, 2, hcode=LOEI, **alike)
        ((link, left, right),) = suspects(session)
        assert link.why is Why.LIKENESS
        assert sorted(left + right) == [one.id, other.id]
        say_same(session, ML, one.id, other.id, same=False)
        assert suspects(session) == []
        with pytest.raises(NotFound):
            say_same(session, ML, one.id, 999, same=True)

    def test_a_patient_twice_at_one_hospital_needs_no_word(self, session: Session) -> None:
        one, other = admitted(session, 1, patient_id="7"), admitted(session, 2, patient_id="7")
        assert one.patient_key == other.patient_key
        with pytest.raises(BadRequest, match="one patient"):
            say_same(session, ML, one.id, other.id, same=False)
