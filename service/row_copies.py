"""Copies of whole databases: SQLite's own online backup, PostgreSQL's pg_dump and pg_restore."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from service.db import make_engine
from service.errors import BadRequest

HEADER = b"SQLite format 3\0"
MOST_OF_WORDS = 500
"""Characters of what a PostgreSQL program says of its failure."""


def is_sqlite(url: str) -> bool:
    """Whether a database is a file."""
    return make_url(url).get_backend_name() == "sqlite"


def has_rows(url: str) -> bool:
    """Whether there is a database yet: no job was ever put in line before the hub's first start."""
    return not is_sqlite(url) or _file(url).is_file()


def dump_rows(url: str, folder: Path, name: str) -> Path:
    """Copy a database, as it is at one moment, into a folder; returns the file.

    Raises:
        BadRequest: pg_dump is not installed, or fails.
    """
    if is_sqlite(url):
        target = folder / f"{name}.sqlite"
        copy_sqlite(_file(url), target)
        return target
    target = folder / f"{name}.pgdump"
    _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={target}")
    return target


def load_rows(url: str, folder: Path, name: str) -> None:
    """Put a copied database back, into one that is empty.

    Raises:
        BadRequest: it is not empty, or pg_restore is not installed or fails; nothing is changed then.
    """
    assert_empty(url)
    if is_sqlite(url):
        _file(url).parent.mkdir(parents=True, exist_ok=True)
        copy_sqlite(folder / f"{name}.sqlite", _file(url))
        return
    words = ("--no-owner", "--exit-on-error", "--single-transaction", str(folder / f"{name}.pgdump"))
    _run("pg_restore", url, f"--dbname={make_url(url).database}", *words)


def assert_empty(url: str) -> None:
    """Refuse a database that holds tables.

    Raises:
        BadRequest: it does.
    """
    if is_sqlite(url) and not _file(url).exists():
        return
    engine = make_engine(url)
    try:
        names = inspect(engine).get_table_names()
    finally:
        engine.dispose()
    if names:
        raise BadRequest(
            f"the database holds {len(names)} tables already ({', '.join(sorted(names)[:3])}, ...); a backup "
            "goes back into an empty one"
        )


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that others write to, as it is at one moment; they are not held up.

    Raises:
        FileNotFoundError: there is none.
    """
    if not source.is_file():
        raise FileNotFoundError(source)
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)


def _file(url: str) -> Path:
    return Path(make_url(url).database or "")


def _run(program: str, url: str, *words: str) -> None:
    """Run a program of PostgreSQL; who and where go by the environment, which no list of processes shows."""
    found = shutil.which(program)
    if found is None:
        raise BadRequest(f"{program} is not installed; on Debian: apt-get install postgresql-client")
    address = make_url(url)
    wanted = {
        "PGHOST": address.host or address.query.get("host"),
        "PGPORT": address.port and str(address.port),
        "PGUSER": address.username,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
    }
    environment = {**os.environ, **{name: str(value) for name, value in wanted.items() if value}}
    done = subprocess.run([found, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadRequest(f"{program} failed: {done.stderr.strip()[-MOST_OF_WORDS:]}")
