"""What a worker reads with: the live model of each hospital, and never a package that fails."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from model.detect import Detector, Heat
from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.stroke import Decision, Prediction, StrokeType
from model.volume import Volume
from pacs_gateway.inbox import Inbox
from service.db import session_scope
from service.detectors import KEPT, Detectors
from service.findings import Finding, analysis_of, findings_of
from service.hospital_thresholds import apply_threshold, undo_threshold
from service.model_packages import take_in
from service.model_states import ModelVerb
from service.models import register_model, steps_of
from service.own_thresholds import own_at
from service.pathway import Pathway, admit
from service.placements import promote_model, roll_back
from service.settings import Settings
from service.storage import FolderStorage
from service.studies import Study
from service.thresholds import LEAST
from tests.model.packages import make_package
from tests.service.factories import LOEI, UDON
from tests.service.modelling import ADMIN, ML
from tests.service.test_returning import arrive
from tests.service.test_thresholds import reviewed

pytestmark = pytest.mark.one_database  # which model is live is tested with the verbs

BUSY_S = 60.0


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packages")
    for seed in range(2):
        make_package(place / f"tiny-0.{seed}.0", name=f"tiny-0.{seed}.0", seed=seed)
    return place


@pytest.fixture(scope="module")
def shipped(packages: Path) -> Detector:
    return Detector(packages / "tiny-0.0.0", threads=1)


def take(session: Session, package: Path, data: Path) -> Path:
    taken = take_in(package, data, threads=1)
    register_model(session, ML, **asdict(taken))
    return data / taken.folder


def test_each_hospital_is_read_by_its_live_model_and_packages_are_loaded_once(
    engine: Engine, packages: Path, shipped: Detector, tmp_path: Path
) -> None:
    loaded: list[Path] = []

    def load(path: Path) -> Detector:
        loaded.append(path)
        return Detector(path, threads=1)

    detectors = Detectors(engine, tmp_path, shipped, load)
    assert detectors.at(UDON) is detectors.at(None) is shipped
    with session_scope(engine) as session:
        copy = take(session, packages / "tiny-0.1.0", tmp_path)
        promote_model(session, ML, "tiny-0.1.0", [UDON])
    assert detectors.at(UDON).artefact.name == "tiny-0.1.0"
    assert detectors.at(LOEI) is shipped
    with session_scope(engine) as session:
        assert detectors.named(session, UDON)[0] == "tiny-0.1.0"
        roll_back(session, ML, [UDON])
        assert detectors.named(session, UDON)[0] == "tiny-0.0.0"
    assert detectors.at(UDON) is shipped
    with session_scope(engine) as session:
        promote_model(session, ML, "tiny-0.1.0")
    assert detectors.at(LOEI).artefact.name == "tiny-0.1.0"
    assert loaded == [copy]
    assert KEPT >= 2


def noise() -> Volume:
    """Six slices of nothing; the network answers to them all the same."""
    hu = np.random.default_rng(0).normal(30, 20, (6, 64, 64)).astype(np.int16)
    affine = np.array([[0, 0, 3.5, -112], [0, 3.5, 0, -112], [10, 0, 0, 0], [0, 0, 0, 1]], np.float64)
    return Volume(
        hu=hu,
        spacing_mm=(10.0, 3.5, 3.5),
        affine=affine,
        sop_instance_uids=tuple(f"1.2.{index}" for index in range(len(hu))),
        positions_mm=np.arange(len(hu)) * 10.0,
        tilt_deg=0.0,
        series_instance_uid="1.2",
        study_instance_uid="1",
        age_years=60.0,
        notes=(),
    )


def test_a_hospital_reads_by_its_own_threshold_of_the_package_that_reads_there_until_it_is_undone(
    engine: Engine, packages: Path, shipped: Detector, tmp_path: Path
) -> None:
    detectors = Detectors(engine, tmp_path, shipped)
    settings = Settings(model=packages / "tiny-0.0.0", data=tmp_path)
    ich = StrokeType.ANY_ICH
    study = noise()
    plain, _ = detectors.reader(UDON).read(study)
    assert plain == replace(shipped.read(study)[0], seconds=plain.seconds)
    score = plain.scores[0].probability
    assert score is not None
    with session_scope(engine) as session:
        own = own_at(session, settings, UDON)
        reviewed(session, UDON, 2 * LEAST, positive=LEAST, digest=own.digest)
        flag = 0.02 if plain.scores[0].decision is not Decision.FLAG else 0.95
        row = apply_threshold(session, ADMIN, own, UDON, ich, flag=flag, reason="x", override=True).id
    reader = detectors.reader(UDON)
    said = reader.read(study)[0].scores[0]
    assert (said.threshold, reader.flags[ich].number) == (flag, row)
    assert said.decision is (Decision.FLAG if score >= flag else Decision.REVIEW)
    assert f"hospital {UDON}'s own; the package's is {own.calibrations[ich].flag:.3f}" in said.reason
    assert detectors.reader(LOEI).flags == {}
    with session_scope(engine) as session:
        take(session, packages / "tiny-0.1.0", tmp_path)
        promote_model(session, ML, "tiny-0.1.0")
    assert detectors.reader(UDON).flags == {}, "another package does not take it over"
    with session_scope(engine) as session:
        roll_back(session, ML)
    assert detectors.reader(UDON).flags[ich].number == row, "who comes back finds it"
    with session_scope(engine) as session:
        undo_threshold(session, ML, own, UDON, ich, reason="over")
    assert detectors.reader(UDON).read(study)[0].scores == plain.scores


def test_a_registered_package_that_is_the_shipped_one_is_not_loaded_twice(
    engine: Engine, packages: Path, shipped: Detector, tmp_path: Path
) -> None:
    with session_scope(engine) as session:
        take(session, packages / "tiny-0.0.0", tmp_path)
        promote_model(session, ML, "tiny-0.0.0")
    assert Detectors(engine, tmp_path, shipped).at(UDON) is shipped


def test_files_that_changed_are_not_used_and_the_fault_is_in_the_history_once(
    engine: Engine, packages: Path, shipped: Detector, tmp_path: Path
) -> None:
    with session_scope(engine) as session:
        copy = take(session, packages / "tiny-0.1.0", tmp_path)
        promote_model(session, ML, "tiny-0.1.0")
    (copy / "model_card.md").write_text("# another", encoding="utf-8")
    for _ in range(2):  # a second worker, or the same after a restart
        detectors = Detectors(engine, tmp_path, shipped)
        assert detectors.at(UDON) is detectors.at(LOEI) is shipped
    with session_scope(engine) as session:
        newest, *rest = steps_of(session)
        assert newest.verb is ModelVerb.FAULT
        assert "model_card.md has sha256" in newest.reason
        assert ModelVerb.FAULT not in [step.verb for step in rest]


class Held(Detector):
    """A real package that says when it has begun to read a study, and reads on when it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, threads=1)
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def read(
        self, volume: Volume, *, flags: Mapping[StrokeType, float] | None = None
    ) -> tuple[Prediction, Heat]:
        self.begun.set()
        assert self.may_go_on.wait(BUSY_S)
        return super().read(volume, flags=flags)


def test_a_threshold_that_changes_while_a_study_is_read_counts_from_the_next(
    engine: Engine, settings: Settings, packages: Path, tmp_path: Path
) -> None:
    package, ich = packages / "tiny-0.0.0", StrokeType.ANY_ICH
    held = Held(package)
    storage, inbox = FolderStorage(settings.storage_folder), Inbox(settings.inbox, reserve_bytes=0)
    pathway = Pathway(engine, storage, Detectors(engine, settings.data, held))
    with session_scope(engine) as session:
        own = own_at(session, Settings(model=package, data=settings.data), UDON)
        reviewed(session, UDON, 2 * LEAST, positive=LEAST, digest=own.digest)
        first = apply_threshold(session, ADMIN, own, UDON, ich, flag=0.3, reason="x", override=True).id

    def arrived(seed: int) -> Study:
        head = simulate_head(seed, side=64, slices=24, fov_mm=230.0)
        paths = write_series(
            head, tmp_path / str(seed), dialect=DIALECTS[0], patient=draw_patient(seed, age=60.0)
        )
        found = arrive(inbox, paths)
        study = admit(found, engine, storage)
        inbox.hand_over(found.study_instance_uid, found.digest)
        return study

    def told(study: Study) -> Finding:
        with session_scope(engine, write=False) as session:
            analysis = analysis_of(session, session.get_one(Study, study.id))
            assert analysis is not None
            (finding,) = [each for each in findings_of(session, analysis) if each.stroke_type is ich]
            return finding

    study = arrived(1)
    work = threading.Thread(target=pathway.analyse, args=({"study": study.id, "revision": study.revision},))
    work.start()
    assert held.begun.wait(BUSY_S)
    with session_scope(engine) as session:  # the hospital goes over to another, while the network reads
        second = apply_threshold(session, ADMIN, own, UDON, ich, flag=0.6, reason="y", override=True).id
    held.may_go_on.set()
    work.join(BUSY_S)
    during, following = told(study), arrived(2)
    pathway.analyse({"study": following.id, "revision": following.revision})
    after = told(following)
    assert [(each.threshold, each.threshold_id) for each in (during, after)] == [(0.3, first), (0.6, second)]
    for each in (during, after):
        assert f"hospital {UDON}'s own" in each.reason
        assert each.probability is not None
        assert each.threshold is not None
        assert (each.decision is Decision.FLAG) == (each.probability >= each.threshold)
