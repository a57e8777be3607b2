"""A hub whose worklist holds a region's years, and people signed in to it, for the benchmark of the pages."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.hub_api import HOSPITAL, admit_studies, wait_for
from benchmarks.serving import ROOT, free_port
from benchmarks.simulated import simulated_studies
from model.detect import Detector
from service.accounts import OPERATOR, Role, add_account
from service.db import make_engine, session_scope
from service.detectors import Detectors
from service.pathway import Pathway
from service.settings import read_settings
from service.sight import find_study
from service.storage import open_storage

MARK = re.compile(r'name="csrf_token" value="([0-9a-f]+)"')
REGION, LOCAL = "pages.region", "pages.local"
"""Two radiologists: one of the whole region, one of the provincial hospital."""


@dataclass(frozen=True, slots=True)
class ReadyHub:
    """Where the hub is, who may enter, and a study with pictures."""

    address: str
    password: str
    uid: str
    pid: int

    def processor_seconds(self) -> float:
        """What the API has used of a processor since it started; tells its cost on a busy machine too."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def ready_hub(data: Path, database_url: str = "") -> Iterator[ReadyHub]:
    """`hub api` over a filled database, with one study that was really analysed."""
    port, password = free_port(), secrets.token_urlsafe(12)
    environment = os.environ | {
        "HUB_DATA": str(data),
        "HUB_DATABASE_URL": database_url,
        "HUB_HTTP_PORT": str(port),
        "HUB_LOG_LEVEL": "WARNING",
    }
    uid = _analysed(environment, data)
    _people(environment, password)
    process = subprocess.Popen([sys.executable, "-m", "service", "api"], env=environment, cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
        yield ReadyHub(f"http://127.0.0.1:{port}", password, uid, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def sign_in(hub: ReadyHub, username: str) -> httpx.Client:
    """A client with the session's cookie, got through the form as a browser does."""
    client = httpx.Client(
        base_url=hub.address, headers={"Accept": "text/html", "Accept-Encoding": "gzip"}, timeout=60
    )
    values = {
        "csrf_token": mark_of(client.get("/login").text),
        "username": username,
        "password": hub.password,
    }
    answer = client.post("/login", data=values)
    if answer.status_code != 303:
        raise SystemExit(f"sign-in answers {answer.status_code}")
    return client


def mark_of(page: str) -> str:
    """The mark that the page's forms carry."""
    found = MARK.search(page)
    assert found, "a page without a form"
    return found[1]


def _analysed(environment: Mapping[str, str], data: Path) -> str:
    _, (uid, paths) = simulated_studies(data / "sent", 2, slices=32)
    admit_studies(environment, paths)
    settings = read_settings(environment)
    engine = make_engine(settings.database)
    with session_scope(engine, write=False) as session:
        study = find_study(session, uid, OPERATOR)
        argument = {"study": study.id, "revision": study.revision}
    storage = open_storage(settings.storage, settings.storage_folder)
    Pathway(engine, storage, Detectors(engine, settings.data, Detector(settings.model))).analyse(argument)
    engine.dispose()
    return uid


def _people(environment: Mapping[str, str], password: str) -> None:
    engine = make_engine(read_settings(environment).database)
    with session_scope(engine) as session:
        for name, hcode in ((REGION, None), (LOCAL, HOSPITAL)):
            add_account(session, name, Role.RADIOLOGIST, hcode=hcode, password=password)
    engine.dispose()
