"""Reads of the job engine's table that must stay quick beside a million finished jobs.

The engine's own listing binds the states as parameters, so SQLite cannot use its partial indexes and
reads the whole table (0.1 s at 300,000 rows, every two seconds). Here the states are spelled out exactly
as the indexes have them. Ids only: the rows themselves come from the engine's public calls.
"""

import sqlalchemy as sa

_COUNT = """
    SELECT queue_name, priority, status, count(*) FROM {table}
    WHERE status IN ('ENQUEUED', 'PENDING') GROUP BY 1, 2, 3
    UNION ALL
    SELECT queue_name, priority, status, count(*) FROM {table} WHERE status = 'DELAYED' GROUP BY 1, 2, 3
"""
_RUNNING = "SELECT workflow_uuid FROM {table} WHERE status = 'PENDING'"
_GIVEN_UP = """
    SELECT workflow_uuid FROM {table}
    WHERE status IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
    AND status <> 'CANCELLED' AND created_at > :since AND completed_at > :since
"""


def count_in_flight(engine: sa.Engine) -> list[tuple[str, int, str, int]]:
    """Queue, priority, engine state and number of the jobs that are not over."""
    with engine.connect() as connection:
        return [(row[0], row[1], row[2], row[3]) for row in connection.execute(_text(engine, _COUNT))]


def running_ids(engine: sa.Engine) -> list[str]:
    """Jobs that some slot has taken and not finished."""
    with engine.connect() as connection:
        return list(connection.execute(_text(engine, _RUNNING)).scalars())


def given_up_ids(engine: sa.Engine, *, since_ms: int) -> list[str]:
    """Jobs put in line and ended by the engine in failure since then."""
    with engine.connect() as connection:
        return list(connection.execute(_text(engine, _GIVEN_UP), {"since": since_ms}).scalars())


def _text(engine: sa.Engine, query: str) -> sa.TextClause:
    table = "dbos.workflow_status" if engine.dialect.name == "postgresql" else "workflow_status"
    return sa.text(query.format(table=table))
