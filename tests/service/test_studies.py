"""Studies: registered once a set of files, analysed, ended; in every order that can happen."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from model.stroke import Note, Refusal, StrokeType
from service import metrics
from service.accounts import OPERATOR, Role, Viewer
from service.audit import verify_chain
from service.errors import IllegalTransition, NotFound
from service.findings import record_prediction
from service.flags import StudyFlag, flags_of
from service.series import series_of, storage_keys
from service.sight import find_study
from service.states import OUTCOMES, RESULTS, TRANSITIONS, Lane, Priority, StudyState
from service.studies import (
    Study,
    begin_analysis,
    load_study,
    mark_failed,
    mark_refused,
    note_receiving,
    register_study,
    reopen,
    supersede,
)
from tests.service.factories import (
    HN,
    LOEI,
    NAME,
    RECEIVED,
    UDON,
    analysed,
    arrived,
    instance,
    keys,
    prediction,
    progress,
    registered,
)


class TestNoteReceiving:
    def test_a_study_on_its_way_is_shown_with_its_count(self, session: Session) -> None:
        note_receiving(session, progress(instances=2))
        study = note_receiving(session, progress(instances=5))
        assert (study.state, study.instances, study.revision) == (StudyState.RECEIVING, 5, 0)
        assert (study.hcode, study.last_received_at) == (UDON, RECEIVED + timedelta(seconds=5))

    def test_late_slices_leave_a_flag_standing(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SAH)
        note_receiving(session, progress(instances=5))
        assert (study.state, study.instances) == (StudyState.FLAGGED, 3)


class TestRegisterStudy:
    def test_identity_counts_and_files_are_taken(self, session: Session) -> None:
        study = registered(session)
        assert (study.patient_id, study.patient_name, study.age_years) == (HN, NAME, 68.6)
        assert (study.hcode, study.modality, study.instances) == (UDON, "CT", 3)
        assert (study.state, study.revision) == (StudyState.READY, 1)
        assert study.completion_code == "head_covered"
        assert study.repairs == ["charset: PatientName declared ISO_IR 100, read as cp874"]
        [series] = series_of(session, study.id)
        assert series.instances[1] == [
            "1.2.3.1.1",
            "1.2.840.10008.5.1.4.1.1.2",
            "1.2.840.10008.1.2.1",
            keys(arrived())[instance(1).sha256],
            1,
            [0.0, 0.0, 5.0],
        ]
        assert len(storage_keys(session, study.id)) == 3

    def test_the_same_set_again_changes_nothing(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SAH)
        assert registered(session) is study
        assert (study.state, study.revision) == (StudyState.FLAGGED, 1)

    def test_late_slices_are_a_new_revision(self, session: Session) -> None:
        registered(session)
        more = [instance(n) for n in range(5)]
        study = registered(session, instances=more)
        assert (study.state, study.revision, study.instances) == (StudyState.READY, 2, 5)
        assert len(series_of(session, study.id)[0].instances) == 5

    def test_a_flag_does_not_vanish_while_late_slices_are_analysed(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SAH)
        place = study.place
        registered(session, instances=[instance(n) for n in range(5)])
        assert (study.state, study.place) == (StudyState.READY, place)
        assert flags_of(session, [study.id]) == {study.id: [StrokeType.SAH]}
        assert session.scalar(select(StudyFlag.state)) is StudyState.READY
        begin_analysis(session, study)
        assert session.scalar(select(StudyFlag.state)) is StudyState.ANALYSING

    def test_a_series_that_is_gone_is_dropped(self, session: Session) -> None:
        registered(session, instances=[instance(1), instance(1, series="2")])
        study = registered(session, instances=[instance(1, series="2"), instance(1, series="3")])
        assert [each.series_instance_uid for each in series_of(session, study.id)] == ["1.2.3.2", "1.2.3.3"]

    def test_an_unknown_hospital_is_told_and_not_taken(self, session: Session) -> None:
        study = registered(session, hcode="99999")
        assert study.hcode is None
        assert "hospital: the code '99999' is not in the region's list" in study.repairs

    def test_a_second_hospital_cannot_take_a_study_over(self, session: Session) -> None:
        registered(session)
        study = registered(session, hcode=LOEI, instances=[instance(1)])
        assert study.hcode == UDON
        assert f"hospital: {LOEI} sent this study too; it stays with {UDON}" in study.repairs

    def test_a_hospital_learned_late_is_taken(self, session: Session) -> None:
        registered(session, hcode=None)
        assert registered(session, instances=[instance(1)]).hcode == UDON

    def test_an_instance_that_is_not_kept_is_not_registered(self, session: Session) -> None:
        with pytest.raises(KeyError):
            register_study(session, arrived(), {})

    def test_lane_and_priority_are_those_of_the_first_time(self, session: Session) -> None:
        study = register_study(
            session, arrived(), keys(arrived()), lane=Lane.RETROSPECTIVE, priority=Priority.STAT
        )
        assert (study.lane, study.priority) == (Lane.RETROSPECTIVE, Priority.STAT)
        assert registered(session, instances=[instance(1)]).lane is Lane.RETROSPECTIVE

    @pytest.mark.parametrize("text", ["ก\0ข", "\ud800", "x" * 5000, "Robert'); DROP TABLE studies;--"])
    def test_any_text_of_a_header_can_be_kept(self, session: Session, text: str) -> None:
        study = registered(session, patient_id=text, patient_name=text, accession_number=text, sex=text)
        session.flush()
        session.expire(study)
        assert "\0" not in study.patient_name
        assert study.patient_name[:1] == (text[:1] if text[0] != "\ud800" else "?")

    def test_received_instances_are_counted_once(self, session: Session) -> None:
        registered(session)
        registered(session)
        registered(session, instances=[instance(n) for n in range(5)])
        assert metrics.tallies(session, metrics.RECEIVED_INSTANCES) == {"": 5}


class TestOutcomes:
    def test_a_refusal_keeps_its_reasons_and_notes(self, session: Session) -> None:
        study = registered(session)
        begin_analysis(session, study)
        reasons = [Refusal.CONTRAST, Refusal.MISSING_SLICES]
        mark_refused(session, study, reasons, [Note("gap", "no slice between 10 and 25 mm")])
        mark_refused(session, study, reasons)
        assert (study.state, study.reasons) == (StudyState.REFUSED, ["contrast", "missing_slices"])
        assert study.notes == [{"code": "gap", "text": "no slice between 10 and 25 mm"}]

    def test_a_failure_keeps_its_step_and_error(self, session: Session) -> None:
        study = registered(session)
        mark_failed(session, study, "load", "disk\0 gone")
        mark_failed(session, study, "infer", "later")
        assert (study.state, study.failed_step, study.error) == (StudyState.FAILED, "load", "disk gone")

    def test_analysing_again_forgets_the_refusal(self, session: Session) -> None:
        study = registered(session)
        mark_refused(session, study, [Refusal.NOT_HEAD])
        reopen(session, study)
        assert (study.state, study.revision, study.reasons) == (StudyState.READY, 2, [])

    def test_a_worker_may_begin_again(self, session: Session) -> None:
        study = registered(session)
        begin_analysis(session, study)
        begin_analysis(session, study)
        assert study.state is StudyState.ANALYSING

    def test_a_result_cannot_be_analysed_without_a_new_revision(self, session: Session) -> None:
        with pytest.raises(IllegalTransition, match="clear"):
            begin_analysis(session, analysed(session))

    def test_a_superseded_study_is_put_away(self, session: Session) -> None:
        study = analysed(session, "1.2.3", StrokeType.SAH)
        supersede(session, study)
        assert flags_of(session, [study.id]) == {study.id: []}
        with pytest.raises(IllegalTransition, match="nothing"):
            reopen(session, study)


class TestFindStudy:
    def test_another_hospitals_study_is_as_one_that_is_not(self, session: Session) -> None:
        registered(session)
        viewer = Viewer("malee", Role.RADIOLOGIST, LOEI)
        for uid in ("1.2.3", "9.9.9"):
            with pytest.raises(NotFound, match=f"^no study '{uid}'$"):
                find_study(session, uid, viewer)
        assert find_study(session, "1.2.3", OPERATOR).hcode == UDON

    def test_a_job_finds_it_by_number(self, session: Session) -> None:
        study = registered(session)
        assert load_study(session, study.id) is study
        with pytest.raises(NotFound, match="999"):
            load_study(session, 999)


class Life(RuleBasedStateMachine):
    """One study through anything that can happen to it, in any order."""

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        self.session = Session(self.engine, expire_on_commit=False)
        self.study: Study | None = None
        self.files = 0
        self.revision = 0

    def teardown(self) -> None:
        self.session.rollback()
        self.session.close()

    def current(self) -> Study:
        assert self.study is not None
        return self.study

    def tries(self, legal: bool, act: Any) -> None:
        if legal:
            act()
        else:
            with pytest.raises(IllegalTransition):
                act()

    def is_in(self, *states: StudyState) -> bool:
        return self.current().state in states

    @rule(count=st.integers(1, 4))
    def slices_come(self, count: int) -> None:
        self.study = note_receiving(self.session, progress(instances=self.files + count))

    @rule(more=st.integers(0, 2))
    def it_is_complete(self, more: int) -> None:
        files = max(self.files + more, 1)
        study = arrived(instances=[instance(n) for n in range(files)])
        new = self.study is None or self.study.digest != study.digest
        if self.study is not None and new and self.is_in(StudyState.SUPERSEDED):
            return
        self.study = register_study(self.session, study, keys(study))
        self.files, self.revision = files, self.revision + new

    @precondition(lambda self: self.study)
    @rule()
    def a_worker_begins(self) -> None:
        legal = self.is_in(StudyState.READY, StudyState.ANALYSING)
        self.tries(legal, lambda: begin_analysis(self.session, self.current()))

    @precondition(lambda self: self.study and self.study.state is StudyState.ANALYSING)
    @rule(flagged=st.sets(st.sampled_from([StrokeType.SAH, StrokeType.SDH])))
    def the_network_speaks(self, flagged: set[StrokeType]) -> None:
        record_prediction(self.session, self.current(), prediction(*flagged))
        assert set(flags_of(self.session, [self.current().id])[self.current().id]) == flagged

    @precondition(lambda self: self.study and self.study.revision)
    @rule()
    def it_is_refused(self) -> None:
        legal = self.is_in(StudyState.READY, StudyState.ANALYSING, StudyState.REFUSED)
        self.tries(legal, lambda: mark_refused(self.session, self.current(), [Refusal.NOT_HEAD]))

    @precondition(lambda self: self.study and self.study.revision)
    @rule()
    def it_fails(self) -> None:
        legal = self.is_in(StudyState.READY, StudyState.ANALYSING, StudyState.FAILED)
        self.tries(legal, lambda: mark_failed(self.session, self.current(), "infer", "broke"))

    @precondition(lambda self: self.study and self.study.revision)
    @rule()
    def it_is_asked_for_again(self) -> None:
        legal = not self.is_in(StudyState.SUPERSEDED)
        self.tries(legal, lambda: reopen(self.session, self.current()))
        self.revision += legal

    @precondition(lambda self: self.study and self.study.state in OUTCOMES)
    @rule()
    def another_takes_its_place(self) -> None:
        supersede(self.session, self.current())

    @invariant()
    def the_row_is_whole(self) -> None:
        if self.study is None:
            return
        self.session.flush()
        self.session.expire_all()
        study = self.session.scalars(select(Study)).one()
        assert study.revision == self.revision
        assert (study.revision == 0) == (study.state is StudyState.RECEIVING)
        assert (study.result_at is not None) or study.state not in OUTCOMES
        assert bool(study.reasons) or study.state is not StudyState.REFUSED
        assert (study.failed_step is not None) or study.state is not StudyState.FAILED
        if study.state in RESULTS:
            flagged = flags_of(self.session, [study.id])[study.id]
            assert bool(flagged) == (study.state is StudyState.FLAGGED)
        assert TRANSITIONS[study.state] is not None
        assert verify_chain(self.session).broken_at is None


def test_any_life_leaves_a_whole_row(engine: Engine) -> None:
    Life.engine = engine
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
