"""`hub models` as a person types it, and a real worker that changes models between two studies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread

from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, draw_patient, write_series
from model.weights import digest
from service.accounts import OPERATOR
from service.commands.opening import open_database
from service.db import make_engine, session_scope
from service.errors import NotFound
from service.findings import analysis_of
from service.settings import Settings
from service.sight import find_study
from tests.hub import ROOT, until
from tests.model.packages import make_package
from tests.shell import run_hub

pytestmark = pytest.mark.one_database  # the commands call verbs, whose tests are beside them


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny packages: the shipped one, and a better one."""
    place = tmp_path_factory.mktemp("packages")
    for seed, name in enumerate(("tiny-0.1.0", "tiny-0.2.0"), start=3):
        make_package(place / name, name=name, seed=seed)
    return place


@pytest.fixture
def hub(tmp_path: Path, packages: Path) -> "Hub":
    return Hub(tmp_path, packages / "tiny-0.1.0")


class Hub:
    """A hub of one folder, reached by commands."""

    def __init__(self, place: Path, package: Path) -> None:
        self.settings = Settings(data=place / "data", disk_reserve_mb=1)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self.environment |= {
            "HUB_DATA": str(self.settings.data),
            "HUB_MODEL": str(package),
            "HUB_DISK_RESERVE_MB": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        open_database(self.settings).dispose()
        self.engine = make_engine(self.settings.database)
        self.place = place

    def say(self, *words: str) -> str:
        done = run_hub(*words, environment=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str) -> str:
        done = run_hub("models", *words, environment=self.environment)
        assert done.returncode == 1, done.stdout
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def study(self, seed: int) -> str:
        """A small study is brought in; its Study Instance UID."""
        folder = self.place / f"ct-{seed}"
        head = simulate_head(seed, side=96, slices=24, fov_mm=230.0)
        paths = write_series(head, folder, dialect=DIALECTS[0], patient=draw_patient(seed, age=60.0))
        self.say("import", str(folder), "--hospital", "10671")
        return str(dcmread(paths[0]).StudyInstanceUID)

    def read_by(self, uid: str) -> str:
        """Name and digest of the package that made the study's result, once it is there."""

        def made() -> str | None:
            with session_scope(self.engine, write=False) as session:
                try:
                    found = analysis_of(session, find_study(session, uid, OPERATOR))
                except NotFound:
                    return None
                return f"{found.model_name} {found.model_digest}" if found else None

        return until(made, seconds=60, hint=f"a result of {uid}") or ""

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        with (self.place / "worker.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "work"],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGABRT)  # leaves in the log where it hangs
                    process.wait(timeout=10)
                    raise


def test_a_worker_changes_models_between_two_studies_and_is_never_restarted(hub: Hub, packages: Path) -> None:
    shipped = f"tiny-0.1.0 {digest(packages / 'tiny-0.1.0')}"
    better = f"tiny-0.2.0 {digest(packages / 'tiny-0.2.0')}"
    said = hub.say("models", "register", str(packages / "tiny-0.2.0"))
    assert said.startswith(f"tiny-0.2.0 {digest(packages / 'tiny-0.2.0')[:12]}: golden studies within 0.0")
    assert hub.say("models", "list").splitlines() == [
        "(HUB_MODEL)                  tiny-0.1.0     live in the region",
        f"tiny-0.2.0                   {digest(packages / 'tiny-0.2.0')[:12]}   candidate",
    ]
    with hub.worker() as worker:
        assert hub.read_by(hub.study(1)) == shipped
        hub.say("models", "shadow", "tiny-0.2.0")
        move = ("promote", "tiny-0.2.0", "--hospital", "10671", "--reason", "canary")
        assert "were not measured on the same studies" in hub.refused(*move)
        hub.say("models", *move, "--override")
        assert hub.read_by(hub.study(2)) == better
        said = hub.say("models", "rollback", "--hospital", "10671")
        assert said == "tiny-0.2.0 is retired at 10671; the region's model reads again\n"
        assert hub.read_by(hub.study(3)) == shipped
        assert worker.poll() is None
    history = hub.say("models", "list", "--history")
    assert "operator promote tiny-0.2.0 10671 (canary)" in history
    assert "shadow in the region, retired at 10671" in history
    assert "nothing to go back to" in hub.refused("rollback")
    assert "no model is called" in hub.refused("promote", "tiny-9.9.9")
