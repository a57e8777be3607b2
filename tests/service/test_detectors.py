"""What a worker reads with: the live model of each hospital, and never a package that fails."""

from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from model.detect import Detector
from service.db import session_scope
from service.detectors import KEPT, Detectors
from service.model_packages import take_in
from service.model_states import ModelVerb
from service.models import register_model, steps_of
from service.placements import promote_model, roll_back
from tests.model.packages import make_package
from tests.service.factories import LOEI, UDON
from tests.service.modelling import ML

pytestmark = pytest.mark.one_database  # which model is live is tested with the verbs


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
