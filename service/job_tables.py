"""Three small tables beside the job engine's own: live workers, failed jobs, and deaths counted per job.

They live in the jobs database, so every machine that shares the queue shares them, and they take no part
in the hub's own schema. Times are milliseconds of the database's clock: machines need not agree on theirs.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

job_workers = sa.Table(
    "job_workers",
    metadata,
    sa.Column("slot", sa.String(100), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("lanes", sa.String(200), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("beat_at", sa.BigInteger, nullable=False),
)

job_failures = sa.Table(
    "job_failures",
    metadata,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("job", sa.String(100), nullable=False),
    sa.Column("step", sa.String(100), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("ticket", sa.JSON, nullable=False),
    sa.Column("failed_at", sa.BigInteger, nullable=False),
    sa.Column("claimed_at", sa.BigInteger, nullable=False, default=0),
    sa.Column("told_at", sa.BigInteger, nullable=True),
)

job_deaths = sa.Table(
    "job_deaths",
    metadata,
    sa.Column("workflow_id", sa.String(220), primary_key=True),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("taken_at", sa.BigInteger, nullable=False),
)

# Any number that no other user of the same server locks.
_CREATE_LOCK = 7_204_881_163


def open_engine(url: str) -> sa.Engine:
    """Connect to the jobs database; a SQLite file is switched to its write-ahead log."""
    engine = sa.create_engine(sqlalchemy_url(url), pool_size=2, max_overflow=2, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def sqlalchemy_url(url: str) -> sa.URL:
    """The URL with the driver that the hub installs, whichever spelling the operator used."""
    parsed = sa.make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername.startswith("postgres") else parsed


@contextlib.contextmanager
def create_tables(engine: sa.Engine) -> Iterator[None]:
    """Create what is missing; other processes that come here wait until the block has ended."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATE_LOCK)))
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
        if engine.dialect.name == "sqlite":
            connection.commit()
        yield


def now_ms(engine: sa.Engine) -> sa.ColumnElement[int]:
    """The database's present time in milliseconds, as an SQL expression."""
    if engine.dialect.name == "sqlite":
        return sa.literal_column("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", sa.BigInteger)
    return sa.literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", sa.BigInteger)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA busy_timeout=30000")
    # Kept in the file itself, so the job engine's connections have it too: 20 times its default speed.
    connection.execute("PRAGMA journal_mode=WAL")
