"""Health: alive, ready part by part, figures, and a description that needs no network."""

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from service.app import create_app
from service.db import downgrade, now, session_scope
from service.settings import Settings
from tests.service.api.conftest import TestClient
from tests.service.described import described_routes
from tests.service.factories import analysed

pytestmark = pytest.mark.one_database  # parts and figures; the counts are tested with the worklist


def test_alive(anonymous: Any) -> None:
    assert anonymous.get("/healthz").json() == {"status": "alive"}


class TestReady:
    @pytest.fixture
    def whole(self, settings: Settings, engine: Engine, tmp_path: Path) -> FastAPI:
        settings.inbox.mkdir()
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "MANIFEST.sha256").touch()
        app = create_app(
            Settings(
                data=settings.data,
                database_url=settings.database_url,
                model=tmp_path / "model",
                disk_reserve_mb=1,
            ),
            engine=engine,
        )
        app.state.worker_seen = now
        return app

    def parts(self, app: FastAPI) -> tuple[int, list[str]]:
        answer = TestClient(app).get("/readyz")
        return answer.status_code, [name for name, said in answer.json()["parts"].items() if said != "ok"]

    def test_every_part_is_there(self, whole: FastAPI) -> None:
        assert self.parts(whole) == (200, [])

    def test_a_worker_that_fell_silent(self, whole: FastAPI) -> None:
        whole.state.worker_seen = lambda: now() - timedelta(minutes=2)
        assert self.parts(whole) == (503, ["worker"])

    def test_no_worker_at_all(self, whole: FastAPI) -> None:
        whole.state.worker_seen = None
        assert self.parts(whole) == (503, ["worker"])

    def test_old_tables(self, whole: FastAPI, engine: Engine) -> None:
        downgrade(engine, "base")
        assert self.parts(whole) == (503, ["database"])

    def test_missing_folders_and_a_full_disk(
        self, whole: FastAPI, settings: Settings, tmp_path: Path
    ) -> None:
        settings.inbox.rmdir()
        (tmp_path / "model" / "MANIFEST.sha256").unlink()
        whole.state.settings = Settings(
            data=settings.data, model=tmp_path / "model", disk_reserve_mb=10_000_000
        )
        assert self.parts(whole) == (503, ["inbox", "model", "disk"])


def test_metrics_are_prometheus_text(app: FastAPI, anonymous: Any, engine: Engine) -> None:
    app.state.queue_depth = lambda: {"analyse": 4}
    with session_scope(engine) as session:
        analysed(session)
    families = {
        family.name: family for family in text_string_to_metric_families(anonymous.get("/metrics").text)
    }
    states = {sample.labels["state"]: sample.value for sample in families["hub_studies"].samples}
    assert (states["clear"], states["failed"]) == (1, 0)
    assert {"hub_received_instances", "hub_result_seconds", "hub_queue_depth"} <= set(families)


class TestDocs:
    def test_every_route_is_described(self, anonymous: Any) -> None:
        page = anonymous.get("/docs").text
        for path in described_routes():
            assert path in page

    def test_nothing_is_loaded_from_elsewhere(self, anonymous: Any) -> None:
        page = anonymous.get("/docs").text
        assert re.findall(r"""<script|<link|<img|@import|src=|url\(|["'(]//|=["']https?:""", page) == []

    def test_examples_are_shown(self, anonymous: Any) -> None:
        assert "000000" in anonymous.get("/docs").text


LEAN = """
import re, sys
from pathlib import Path
from service.app import create_app
from service.settings import Settings
app = create_app(Settings(data=Path(sys.argv[1])))
app.openapi()
heavy = {"torch", "monai", "pynetdicom", "openvino", "scipy", "dbos"} & set(sys.modules)
# VmHWM starts anew with the program; getrusage would tell the peak of the test process that forked it
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(heavy or "none", int(peak[1]) // 1024)
"""


def test_the_api_process_stays_lean(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", LEAN, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == "none"
    assert int(said[1]) < 250
