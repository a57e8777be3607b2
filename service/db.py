"""The database: engine, Base, the one place that commits, and the upgrade to the newest tables.

SQLite runs with a write-ahead log and synchronous=FULL: once the hub has taken a study its inbox copy may go,
so a commit must survive a power cut; NORMAL would only survive a killed process. A writing transaction takes
SQLite's write lock at its start (BEGIN IMMEDIATE), because one that reads first and writes later fails with
"database is locked" when another process wrote in between. Keep scopes short: no inference inside one.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    Engine,
    Enum,
    Integer,
    MetaData,
    Select,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import DateTime, TypeDecorator

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
CACHE_KB = 8_000
"""Of SQLite pages for each connection; with the default of 2 MB a search of a million names reads disk."""
UPGRADE_LOCK = 0x4855_4231
"""Any number, the same in every hub: only one process upgrades a PostgreSQL database at a time."""

UNMODELLED = ("patient_names", "ix_studies_name_grams")

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Id = BigInteger().with_variant(Integer, "sqlite")


Query = TypeVar("Query", bound=Select[Any])


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; refuses one without a time zone, and never returns one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value.isoformat()} has no time zone; the database takes aware datetimes only"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Every table; constraints get names so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        list[Any]: Json,
        dict[str, Any]: Json,
    }


def is_modelled(name: str | None, kind: str, _parents: object = None) -> bool:
    """Whether a table or index is described by the models; those of the search by name are not."""
    return kind not in ("table", "index") or not (name or "").startswith(UNMODELLED)


def words(closed: type[StrEnum]) -> Enum:
    """The column type of a StrEnum: its values as text, so that a new word needs no migration."""
    return Enum(
        closed, native_enum=False, length=24, values_callable=lambda kind: [word.value for word in kind]
    )


def locked(query: Query) -> Query:
    """The query for rows that are about to change: others wait, and what was read before is read anew."""
    return query.with_for_update().execution_options(populate_existing=True)


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def make_engine(url: str) -> Engine:
    """Open the database at `url`; the folder of a SQLite file is made when missing."""
    engine = create_engine(
        url, pool_pre_ping=not url.startswith("sqlite"), json_serializer=_compact_json, hide_parameters=True
    )
    if engine.dialect.name == "sqlite":
        if database := make_url(url).database:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


_READING: WeakKeyDictionary[Engine, Engine] = WeakKeyDictionary()


def _reading(engine: Engine) -> Engine:
    """The engine's face for work that only reads; made once, as each new one sorts its listeners anew."""
    made = _READING.get(engine)
    if made is None:
        made = _READING[engine] = engine.execution_options(hub_read_only=True)
    return made


@contextmanager
def session_scope(engine: Engine, *, write: bool = True) -> Iterator[Session]:
    """One unit of work, the only place that commits: all of it is kept, or none.

    Args:
        engine: The database.
        write: False for work that only reads: it neither waits for writers nor holds them up,
            and is rolled back at the end.
    """
    bind = engine if write else _reading(engine)
    with Session(bind, expire_on_commit=False) as session:
        yield session
        if not write:
            return
        session.commit()
        for call in session.info.pop("after_commit", ()):
            call()


@contextmanager
def connection_scope(engine: Engine) -> Iterator[Connection]:
    """A writing `session_scope` for work on tables alone, without the session that objects need."""
    with engine.begin() as connection:
        yield connection


def after_commit(session: Session, call: Callable[[], object]) -> None:
    """Do `call` once the session's scope has committed, and not at all when it does not."""
    session.info.setdefault("after_commit", []).append(call)


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for the packaged migrations, bound to a connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to `revision`; several processes may call it at once."""
    with _migrating(engine) as connection:
        command.upgrade(alembic_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the tables back to `revision` ("base": drop them all)."""
    with _migrating(engine) as connection:
        command.downgrade(alembic_config(connection), revision)


def at_head(engine: Engine) -> bool:
    """Whether the database answers and its tables are the newest."""
    with engine.execution_options(hub_read_only=True).connect() as connection:
        newest = ScriptDirectory.from_config(alembic_config(connection)).get_current_head()
        return MigrationContext.configure(connection).get_current_revision() == newest


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    # SQLite alters a table by making it anew; with foreign keys on, dropping the old one would delete rows.
    with engine.connect() as connection:
        sqlite = engine.dialect.name == "sqlite"
        if sqlite:
            _driver(connection).execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                if not sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
                yield connection
                if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                    msg = f"migration left a row of {broken[0]} pointing at nothing in {broken[2]}"
                    raise RuntimeError(msg)
        finally:
            if sqlite:
                _driver(connection).execute("PRAGMA foreign_keys=ON")


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _compact_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _set_pragmas(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.isolation_level = None  # `_begin` starts transactions, not the driver
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{CACHE_KB}",
    ):
        dbapi_connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("hub_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
