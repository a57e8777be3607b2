"""Rows go into a file and back, on SQLite and on PostgreSQL, and never over others."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from service import audit
from service.db import make_engine, session_scope
from service.errors import BadRequest
from service.row_copies import dump_rows, load_rows


@pytest.fixture
def empty_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    """A second database without a table."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'other' / 'hub.sqlite'}"
        return
    name = f"hub_test_{uuid.uuid4().hex[:12]}"
    server = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_there_and_back(database_url: str, empty_url: str, tmp_path: Path) -> None:
    engine = make_engine(database_url)
    with session_scope(engine) as session:
        audit.record(session, "test", "before")
    copy = dump_rows(database_url, tmp_path, "hub")
    with session_scope(engine) as session:
        audit.record(session, "test", "after")
    engine.dispose()
    assert copy.stat().st_size > 1000
    load_rows(empty_url, tmp_path, "hub")
    other = make_engine(empty_url)
    with session_scope(other, write=False) as session:
        state = audit.verify_chain(session)
    other.dispose()
    assert (state.entries, state.broken_at) == (1, None)


def test_rows_that_are_there_stay(database_url: str, tmp_path: Path) -> None:
    dump_rows(database_url, tmp_path, "hub")
    with pytest.raises(BadRequest, match="into an empty one"):
        load_rows(database_url, tmp_path, "hub")


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadRequest, match="pg_dump is not installed"):
        dump_rows("postgresql://somebody@localhost/hub", tmp_path, "hub")
