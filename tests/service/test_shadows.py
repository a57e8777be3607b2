"""Shadow: it reads what the live model has read, after every live study, and leaves everything as it was."""

import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from model.detect import Detector
from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import Decision, Refusal, StrokeType
from pacs_gateway.inbox import Inbox
from service.accounts import Role, Viewer
from service.alerts import Alert
from service.audit import AuditEntry
from service.db import session_scope
from service.detectors import Detectors, Packages
from service.findings import Finding, analysis_of
from service.flags import StudyFlag
from service.model_packages import take_in
from service.models import find_model, register_model
from service.pathway import Pathway, admit
from service.placements import promote_model, shadow_model
from service.settings import Settings
from service.shadow_reader import ShadowReader, live_waits
from service.shadows import ShadowPrediction, count_shadowed, differing, pairs_of, points_of, record_shadow
from service.storage import FolderStorage, Storage
from service.studies import Study, begin_analysis, mark_refused
from tests.model.packages import make_package
from tests.service.factories import LOEI, UDON, analysed, prediction, registered
from tests.service.modelling import ML, registered_model
from tests.service.test_returning import arrive

pytestmark = pytest.mark.one_database  # rows joined by number

NAME = "tiny-0.1.0"


class TestRows:
    def shadowed(
        self,
        session: Session,
        uid: str,
        *flagged: StrokeType,
        by: str,
        live: tuple[StrokeType, ...] = (),
        **of: Any,
    ) -> Study:
        study = analysed(session, uid, *live, **of)
        analysis = analysis_of(session, study)
        assert analysis is not None
        record_shadow(session, analysis, study, find_model(session, by), prediction(*flagged))
        return study

    def test_pairs_lists_and_points_are_of_whom_the_viewer_may_see(self, session: Session) -> None:
        model = registered_model(session)
        same = self.shadowed(session, "1.2.1", by=model.name)
        more = self.shadowed(session, "1.2.2", StrokeType.ANY_ICH, by=model.name)
        self.shadowed(session, "1.2.3", by=model.name, live=(StrokeType.ANY_ICH,), hcode=LOEI)
        pairs = {(each.live, each.shadow): each.studies for each in pairs_of(session, ML, model)}
        assert pairs == {
            (Decision.CLEAR, Decision.CLEAR): 1,
            (Decision.CLEAR, Decision.FLAG): 1,
            (Decision.FLAG, Decision.CLEAR): 1,
        }
        here = Viewer("ml-udon", Role.ML, UDON)
        assert [study.id for _, study in differing(session, here, model)] == [more.id]
        assert sorted(points_of(session, here, model, limit=9)) == [(0.02, 0.02, False), (0.02, 0.91, True)]
        assert (count_shadowed(session, model), count_shadowed(session, model, UDON)) == ((3, 2), (2, 1))
        assert same.state.value == "clear"

    def test_a_study_is_kept_once_and_what_cannot_be_read_is_kept_as_that(self, session: Session) -> None:
        model = registered_model(session)
        study = analysed(session)
        analysis = analysis_of(session, study)
        assert analysis is not None
        record_shadow(session, analysis, study, model, None, "no\x00pe")
        record_shadow(session, analysis, study, model, prediction())
        (row,) = session.scalars(select(ShadowPrediction)).all()
        assert (row.decision, row.differs, count_shadowed(session, model)) == (None, True, (0, 0))
        assert "\x00" not in row.error


class Lane:
    """A pathway with a shadow lane, without a job engine."""

    def __init__(self, engine: Engine, storage: Storage, place: Path, shipped: Detector) -> None:
        self.engine, self.storage = engine, storage
        self.pathway = Pathway(engine, storage, Detectors(engine, place, shipped))
        packages = Packages(engine, place, lambda path: Detector(path, threads=1))
        self.reader = ShadowReader(engine, storage, packages, place / "shadow.lock")

    def read(self, inbox: Inbox, folder: Path, seed: int) -> Study:
        """A study arrives and the live model reads it."""
        head = simulate_head(seed, side=96, slices=24, fov_mm=230.0)
        paths = write_series(head, folder, dialect=DIALECTS[0], patient=draw_patient(seed, age=60.0))
        arrived = arrive(inbox, paths)
        study = admit(arrived, self.engine, self.storage)
        inbox.hand_over(arrived.study_instance_uid, arrived.digest)
        self.pathway.analyse({"study": study.id, "revision": study.revision})
        return study

    def rows(self) -> list[ShadowPrediction]:
        with session_scope(self.engine, write=False) as session:
            return list(session.scalars(select(ShadowPrediction).order_by(ShadowPrediction.id)))


def everything_else(engine: Engine) -> list[Any]:
    """What a shadow must leave alone, as values."""
    with session_scope(engine, write=False) as session:
        studies = [
            [getattr(study, column.name) for column in Study.__table__.columns]
            for study in session.scalars(select(Study).order_by(Study.id))
        ]
        counts = [
            session.scalar(select(func.count()).select_from(table))
            for table in (Finding, StudyFlag, Alert, AuditEntry)
        ]
        return [studies, counts]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packages")
    for seed in range(2):
        make_package(place / f"tiny-0.{seed}.0", name=f"tiny-0.{seed}.0", seed=seed)
    return place


def test_what_the_live_model_has_read_is_read_in_shadow_later_and_nothing_else_changes(
    engine: Engine, settings: Settings, packages: Path, tmp_path: Path
) -> None:
    lane = Lane(
        engine,
        FolderStorage(settings.storage_folder),
        settings.data,
        Detector(packages / "tiny-0.0.0", threads=1),
    )
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    lane.read(inbox, tmp_path / "before", 1)
    with session_scope(engine) as session:
        register_model(session, ML, **asdict(take_in(packages / NAME, settings.data, threads=1)))
        shadow_model(session, ML, NAME)
    assert not lane.reader.round()  # what was read before it came is not read anew
    study = lane.read(inbox, tmp_path / "after", 2)

    # a live study that waits goes first, however long the shadow waits
    with session_scope(engine) as session:
        waiting = registered(session, "1.2.9").id
    assert not lane.reader.round()
    with session_scope(engine) as session:
        begin_analysis(session, session.get_one(Study, waiting))
        assert live_waits(session)
        mark_refused(session, session.get_one(Study, waiting), [Refusal.UNDER_18])
    before = everything_else(engine)
    assert lane.reader.round()
    assert not lane.reader.round()
    assert everything_else(engine) == before
    (row,) = lane.rows()
    assert (row.study_id, row.hcode, row.error) == (study.id, UDON, "")
    assert row.decision is not None
    assert {each["stroke_type"] for each in row.scores} == {"any_ich", "iph"}
    assert row.score != row.live_score

    # files that are gone hold nobody up; a hospital with a shadow of its own, or live with it, is passed over
    with session_scope(engine) as session:
        analysed(session, "1.2.10")
        analysed(session, "1.2.11", hcode=LOEI)
        promote_model(session, ML, NAME, [LOEI])
    assert lane.reader.round()
    assert not lane.reader.round()
    assert "nothing is kept under the key" in lane.rows()[1].error
    assert len(lane.rows()) == 2
    inbox.close()


def test_the_lane_runs_at_the_lowest_priority_and_ends_when_told(engine: Engine, settings: Settings) -> None:
    stop, niceness = threading.Event(), []

    class Watched(ShadowReader):
        def round(self) -> bool:
            niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            stop.set()
            return False

    reader = Watched(
        engine,
        FolderStorage(settings.storage_folder),
        Packages(engine, settings.data),
        settings.data / "shadow.lock",
    )
    lane = threading.Thread(target=reader.run, args=(stop,))
    lane.start()
    lane.join(timeout=30)
    assert not lane.is_alive()
    assert niceness == [19]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 19
