"""What tests share: a database for each, on SQLite or on the PostgreSQL of HUB_TEST_DATABASE_URL."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from service.db import make_engine, session_scope, upgrade
from service.hospitals import seed_hospitals
from service.settings import Settings

SERVER = os.environ.get("HUB_TEST_DATABASE_URL", "")

# The same examples in every run: a change fails for what it changed. HUB_TEST_RANDOM=1 looks for new ones.
# a busy machine is slow, not wrong: no example fails for the time that it took
for profile, same in (("same", True), ("drawn", False)):
    hypothesis_settings.register_profile(
        profile, derandomize=same, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
hypothesis_settings.load_profile("drawn" if os.environ.get("HUB_TEST_RANDOM") else "same")

DEAREST = (
    "tests/test_pathway.py",
    "tests/service/web/test_days.py",
    "tests/test_night.py",
    "tests/service/web/test_days_ohif.py",
    "tests/training/test_realcheck.py",
    "tests/test_refusals.py",
    "tests/test_two_hubs.py",
    "tests/model/test_reading.py",
    "tests/model/test_read.py",
    "tests/service/test_jobs.py",
    "tests/service/test_returning.py",
    "tests/test_delivery.py",
    "tests/training/test_runs.py",
    "tests/model/test_detect.py",
    "tests/service/test_alert_kills.py",
    "tests/training/test_package.py",
    "tests/training/test_evaluate.py",
    "tests/training/test_train.py",
    "tests/training/test_conformal.py",
    "tests/training/test_simulated.py",
    "tests/pacs_gateway/test_relay.py",
    "tests/test_dicomweb_peers.py",
    "tests/service/test_couriers.py",
    "tests/service/web/test_doors.py",
    "tests/service/web/test_live.py",
    "tests/service/test_commands.py",
)
"""Files that take longest, the longest first: a worker that begins one last ends long after the other."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first; with PostgreSQL without what never reaches it, or is marked as no different there."""
    place = {name: number for number, name in enumerate(DEAREST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))
    if SERVER:
        left_out = [item for item in items if not _may_differ(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _may_differ(item)]


def _may_differ(item: pytest.Item) -> bool:
    jobs = getattr(item, "callspec", None) and item.callspec.params.get("jobs_url")  # type: ignore[attr-defined]
    reaches = "template" in getattr(item, "fixturenames", ()) or jobs == "postgresql"
    # a page has no query of its own: it calls the verbs, whose tests are beside it
    page = item.nodeid.startswith("tests/service/web/")
    return reaches and not page and item.get_closest_marker("one_database") is None


def _on_server(statement: str, *names: str) -> None:
    url = make_url(SERVER).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _address(database: str) -> str:
    return make_url(SERVER).set(drivername="postgresql+psycopg", database=database).render_as_string(False)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An upgraded and seeded database to copy each test's own from: a path, or a name on the server."""
    if SERVER:
        name = f"hub_template_{uuid.uuid4().hex[:12]}"
        _on_server("CREATE DATABASE {}", name)
        url = _address(name)
    else:
        name = str(tmp_path_factory.mktemp("template") / "hub.sqlite")
        url = f"sqlite:///{name}"
    engine = make_engine(url)
    upgrade(engine)
    with session_scope(engine) as session:
        seed_hospitals(session)
    engine.dispose()
    yield name
    if SERVER:
        _on_server("DROP DATABASE {}", name)


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed package of a tiny untrained network, for what a package does whatever its network has learnt.

    Made once for all processes of a test run: the exporter takes 15 s to start. Copy it to change it.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path = root / "models" / "tiny-0.0.1"
    path.parent.mkdir(exist_ok=True)
    with (path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            from tests.model.packages import make_package  # imports torch, which most runs do without

            made = path.with_name("making") / path.name
            shutil.rmtree(made.parent, ignore_errors=True)
            make_package(made)
            made.rename(path)
    return path


@pytest.fixture
def database_url(template: str, tmp_path: Path) -> Iterator[str]:
    """The address of this test's own database."""
    (tmp_path / "data").mkdir()
    if SERVER:
        name = f"hub_test_{uuid.uuid4().hex[:12]}"
        _on_server("CREATE DATABASE {} TEMPLATE {}", name, template)
        yield _address(name)
        _on_server("DROP DATABASE {} WITH (FORCE)", name)
    else:
        shutil.copy(template, tmp_path / "data" / "hub.sqlite")
        yield f"sqlite:///{tmp_path / 'data' / 'hub.sqlite'}"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Settings whose data folder and database are this test's own."""
    return Settings(data=tmp_path / "data", database_url=database_url, disk_reserve_mb=1)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """This test's own database, upgraded, with the 88 hospitals."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A writing session that commits at the end of the test."""
    with session_scope(engine) as session:
        yield session
