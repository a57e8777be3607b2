"""Work that failed: shown with its cause, put in line again once; analyses are left to their studies."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from service.accounts import OPERATOR, Role, add_account
from service.app import create_app
from service.audit import AuditEntry
from service.db import session_scope
from service.errors import NotFound, Unavailable
from service.failed_work import ON_STUDIES, failed_work, try_again
from service.failures import record_failure
from service.jobs import JobClient, Lane, Priority, Ticket
from service.orders import ANALYSE
from service.settings import Settings
from tests.service.web.conftest import PASSWORD, Person


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobClient]:
    """A queue without a worker, on which a final report and an analysis have failed."""
    client = JobClient(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    for job, key in (("sign", "sign:7"), ("analyse", "analyse:1:1")):
        client.enqueue(job, key, {"study": 1})
        ticket: dict[str, Any] = asdict(
            Ticket(key=key, argument={"study": 1}, lane=Lane.LIVE.value, priority=Priority.ROUTINE.value)
        )
        record_failure(client.engine, job=job, step="make", error="the disk is full", ticket=ticket)
    yield client
    client.close()


def test_it_is_shown_and_put_in_line_again_once(engine: Engine, jobs: JobClient) -> None:
    assert [(each.key, each.error) for each in failed_work(jobs)] == [("sign:7", "the disk is full")]
    waiting = jobs.depth()[Lane.LIVE].waiting
    with session_scope(engine) as session:
        try_again(session, OPERATOR, jobs, "sign:7")
        assert session.scalars(select(AuditEntry.action)).all() == ["job.retry"]
    assert failed_work(jobs) == []
    assert jobs.depth()[Lane.LIVE].waiting == waiting + 1
    with session_scope(engine) as session, pytest.raises(NotFound, match="sign:7"):
        try_again(session, OPERATOR, jobs, "sign:7")


def test_analyses_are_called_so_by_the_orders_too() -> None:
    assert ON_STUDIES == ANALYSE


def test_without_a_queue_nothing_is_shown_and_nothing_promised(engine: Engine) -> None:
    assert failed_work(None) == ()
    with session_scope(engine) as session, pytest.raises(Unavailable):
        try_again(session, OPERATOR, None, "sign:7")


def test_the_console_and_the_api_show_it(engine: Engine, settings: Settings, jobs: JobClient) -> None:
    with session_scope(engine) as session:
        add_account(session, "admin1", Role.ADMIN, password=PASSWORD)
    admin = Person(create_app(settings, engine=engine, jobs=jobs))
    assert admin.sign_in("admin1").status_code == 303
    assert [each["key"] for each in admin.get("/api/v1/jobs/failed").json()] == ["sign:7"]
    assert "sign:7" in admin.get("/console").text
    assert "analyse:1:1" not in admin.get("/console").text
    assert admin.post("/console/jobs/again", {"key": "sign:7"}, page="/console").status_code == 303
    assert "sign:7" not in admin.get("/console").text
    assert admin.post("/console/jobs/again", {"key": "sign:7"}, page="/console").status_code == 404
