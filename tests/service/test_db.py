"""The database: migrations and models agree, one place commits, moments are in UTC."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

import service
from service.accounts import Account, Role
from service.db import (
    Base,
    after_commit,
    at_head,
    downgrade,
    is_modelled,
    make_engine,
    session_scope,
    upgrade,
)
from service.tables import TABLE_MODULES
from tests.service.factories import registered


def test_every_module_with_tables_is_listed() -> None:
    folder = Path(service.__file__ or "").parent
    with_tables = {
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if "__tablename__" in path.read_text(encoding="utf-8")
    }
    assert {module.__name__.partition(".")[2] for module in TABLE_MODULES} == with_tables


def test_models_and_migrations_agree(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": is_modelled}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_downgrade_and_upgrade_come_back_to_the_same_tables(engine: Engine) -> None:
    before = set(inspect(engine).get_table_names())
    downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    assert not at_head(engine)
    upgrade(engine)
    assert set(inspect(engine).get_table_names()) == before
    assert at_head(engine)


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    assert at_head(engine)


def test_sqlite_is_durable_and_checks_references(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("about SQLite")
    with engine.connect() as connection:
        pragmas = [
            connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


class TestSessionScope:
    def test_an_error_keeps_nothing(self, engine: Engine) -> None:
        def work() -> None:
            with session_scope(engine) as session:
                session.add(Account(username="x", role=Role.ADMIN))
                session.flush()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()
        with session_scope(engine, write=False) as session:
            assert session.query(Account).count() == 0

    def test_a_reading_scope_keeps_nothing(self, engine: Engine) -> None:
        with session_scope(engine, write=False) as session:
            session.add(Account(username="x", role=Role.ADMIN))
            session.flush()
        with session_scope(engine, write=False) as session:
            assert session.query(Account).count() == 0

    def test_a_reader_does_not_wait_for_a_writer(self, engine: Engine) -> None:
        with session_scope(engine) as writer:
            registered(writer)
            with session_scope(engine, write=False) as reader:
                assert reader.query(Account).count() == 0

    def test_calls_come_after_the_commit(self, engine: Engine) -> None:
        seen: list[int] = []

        def look() -> None:
            with session_scope(engine, write=False) as reader:
                seen.append(reader.query(Account).count())

        with session_scope(engine) as session:
            session.add(Account(username="x", role=Role.ADMIN))
            after_commit(session, look)
        assert seen == [1]

    def test_calls_do_not_come_after_an_error(self, engine: Engine) -> None:
        seen: list[int] = []

        def work() -> None:
            with session_scope(engine) as session:
                after_commit(session, lambda: seen.append(1))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()
        assert seen == []


class TestUtcDateTime:
    def test_a_moment_comes_back_in_utc(self, session: Session) -> None:
        bangkok = datetime(2026, 11, 22, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=7)))
        session.add(Account(username="x", role=Role.ADMIN, created_at=bangkok))
        session.flush()
        session.expire_all()
        found = session.query(Account).one().created_at
        assert found == bangkok
        assert found.tzinfo is UTC

    def test_a_moment_without_a_zone_is_refused(self, session: Session) -> None:
        session.add(Account(username="x", role=Role.ADMIN, created_at=datetime(2026, 1, 1)))
        with pytest.raises(StatementError, match="no time zone"):
            session.flush()
        session.rollback()


def test_only_session_scope_commits() -> None:
    found = [
        path.name for path in Path("service").rglob("*.py") if "session.commit()" in path.read_text("utf-8")
    ]
    assert found == ["db.py"]


def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'deep' / 'hub.sqlite'}")
    upgrade(engine)
    engine.dispose()
    assert (tmp_path / "deep" / "hub.sqlite").exists()
