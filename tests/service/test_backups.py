"""A backup holds everything at one moment, says what is wrong with it, and goes back whole or not at all."""

import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from service import audit
from service.backups import (
    KEYS,
    MANIFEST,
    check_backup,
    last_backup,
    list_backups,
    make_backup,
    prune_backups,
    read_manifest,
)
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.errors import BadRequest
from service.restores import restore_backup
from service.restoring import mark
from service.row_copies import copy_sqlite
from service.settings import BadSetting, Settings
from service.storage import FolderStorage
from tests.shell import run_hub

pytestmark = pytest.mark.one_database


def quiet(*_: int) -> None:
    """Nobody watches."""


def note(settings: Settings, word: str) -> None:
    engine = open_database(settings)
    with session_scope(engine) as session:
        audit.record(session, "test", word)
    engine.dispose()


def noted(settings: Settings) -> list[str]:
    engine = open_database(settings)
    with session_scope(engine, write=False) as session:
        words = list(session.execute(text("SELECT action FROM audit_entries ORDER BY id")).scalars())
        assert audit.verify_chain(session).broken_at is None
    engine.dispose()
    return words


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = Settings(data=tmp_path_factory.mktemp("upgraded"))
    note(settings, "before")
    return settings.data


@pytest.fixture
def hub(tmp_path: Path, upgraded: Path) -> Settings:
    settings = Settings(data=tmp_path / "data")
    shutil.copytree(upgraded, settings.data)
    storage = FolderStorage(settings.storage_folder)
    for content in (b"first slice", b"second slice"):
        storage.keep_bytes(content)
    (settings.inbox / "arriving").mkdir(parents=True)
    (settings.inbox / "arriving" / "1.dcm").write_bytes(b"acknowledged, not yet taken")
    with closing(sqlite3.connect(settings.inbox / "index.sqlite3")) as index, index:
        index.execute("CREATE TABLE instances (uid TEXT)")
        index.execute("INSERT INTO instances VALUES ('1.2.3')")
    settings.tls.mkdir()
    (settings.tls / "hub.key").write_text("a key")
    (settings.data / "research.key").write_text("the secret")
    (settings.data / "intake.lock").touch()
    return settings


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


def back_up(settings: Settings, shelf: Path) -> Path:
    return make_backup(settings, settings.storage_folder, shelf, tell=quiet)


class TestBackup:
    def test_everything_but_locks_and_the_secret_is_in_it(self, hub: Settings, shelf: Path) -> None:
        made = back_up(hub, shelf)
        manifest = read_manifest(made)
        assert {"hub.sqlite", KEYS, "data/inbox/arriving/1.dcm", "data/tls/hub.key"} <= set(manifest.files)
        assert "data/inbox/index.sqlite3" in manifest.files
        assert not [name for name in manifest.files if "lock" in name or "research" in name]
        assert manifest.num_files == 2
        assert check_backup(made, tell=quiet) == []
        assert oct(made.stat().st_mode & 0o777) == "0o700"

    def test_rows_are_of_one_moment_while_others_write(self, hub: Settings, shelf: Path) -> None:
        stop = threading.Event()
        source = hub.data / "pairs.sqlite"
        with closing(sqlite3.connect(source)) as database, database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
            database.execute("INSERT INTO pairs VALUES (0, 0)")

        def write() -> None:
            with closing(sqlite3.connect(source)) as database:
                while not stop.is_set():
                    with database:
                        database.execute("UPDATE pairs SET a = a + 1")
                        database.execute("UPDATE pairs SET b = b + 1")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(5):
                copy_sqlite(source, shelf.parent / f"{number}.sqlite")
        finally:
            stop.set()
            writer.join()
        for number in range(5):
            with closing(sqlite3.connect(shelf.parent / f"{number}.sqlite")) as database:
                a, b = database.execute("SELECT a, b FROM pairs").fetchone()
            assert a == b

    def test_what_the_last_backup_has_is_linked(
        self, hub: Settings, shelf: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = back_up(hub, shelf)
        first = first.rename(shelf / "20200101T000000Z")
        FolderStorage(hub.storage_folder).keep_bytes(b"third slice")
        second = back_up(hub, shelf)
        places = [path for path in second.glob("storage/*/*")]
        assert sorted(path.stat().st_nlink for path in places) == [1, 2, 2]
        assert list_backups(shelf) == [first, second]

    def test_a_damaged_file_is_named_and_left_out(self, hub: Settings, shelf: Path) -> None:
        path = next(hub.storage_folder.glob("[0-9a-f][0-9a-f]/*"))
        path.chmod(0o600)
        path.write_bytes(b"rot")
        manifest = read_manifest(back_up(hub, shelf))
        assert manifest.damaged == (path.name,)
        assert manifest.num_files == 1

    @pytest.mark.parametrize("inside", [".", "storage/backups"])
    def test_a_backup_into_the_data_is_refused(self, hub: Settings, inside: str) -> None:
        with pytest.raises(BadRequest, match="another disk"):
            make_backup(hub, hub.storage_folder, hub.data / inside, tell=quiet)

    def test_a_cut_off_backup_is_none_and_is_cleared_away(self, hub: Settings, shelf: Path) -> None:
        whole = back_up(hub, shelf)
        cut = shelf / ".unfinished-20200101T000000Z"
        cut.mkdir()
        (cut / MANIFEST).write_text("{}")
        assert list_backups(shelf) == [whole]
        assert prune_backups(shelf, 1) == [cut]
        assert list(shelf.iterdir()) == [whole]

    def test_the_oldest_go_first(self, hub: Settings, shelf: Path) -> None:
        made = back_up(hub, shelf)
        old = made.rename(shelf / "20200101T000000Z")
        new = back_up(hub, shelf)
        assert prune_backups(shelf, 1) == [old]
        assert list_backups(shelf) == [new]
        assert check_backup(new, tell=quiet) == []
        assert last_backup(hub.data) is not None


class TestRestore:
    def test_what_was_there_is_there_again(self, hub: Settings, shelf: Path, tmp_path: Path) -> None:
        made = back_up(hub, shelf)
        note(hub, "after")
        other = Settings(data=tmp_path / "other")
        lacks = restore_backup(other, other.storage_folder, made, tell=quiet)
        assert noted(other) == ["before"]
        assert (other.inbox / "arriving" / "1.dcm").read_bytes() == b"acknowledged, not yet taken"
        with closing(sqlite3.connect(other.inbox / "index.sqlite3")) as index:
            assert index.execute("SELECT uid FROM instances").fetchall() == [("1.2.3",)]
        assert {path.name for path in other.storage_folder.glob("*/*")} == {
            path.name for path in hub.storage_folder.glob("[0-9a-f][0-9a-f]/*")
        }
        assert len(lacks) == 1
        assert "research.key" in lacks[0]

    def test_nothing_is_overwritten(self, hub: Settings, shelf: Path) -> None:
        made = back_up(hub, shelf)
        with pytest.raises(BadRequest, match="not empty"):
            restore_backup(hub, hub.storage_folder, made, tell=quiet)
        assert noted(hub) == ["before"]

    @pytest.mark.parametrize("how", ["changed", "missing"])
    def test_a_damaged_backup_touches_nothing(
        self, hub: Settings, shelf: Path, tmp_path: Path, how: str
    ) -> None:
        made = back_up(hub, shelf)
        victim = next(made.glob("storage/*/*"))
        if how == "changed":
            victim.write_bytes(b"rot")
        else:
            victim.unlink()
        other = Settings(data=tmp_path / "other")
        with pytest.raises(BadRequest, match=f"{victim.name} is missing or changed"):
            restore_backup(other, other.storage_folder, made, tell=quiet)
        assert not other.data.exists()

    def test_no_command_starts_on_half_a_restore(
        self, hub: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mark(hub.data).write_text("{}")
        monkeypatch.setenv("HUB_DATA", str(hub.data))
        with pytest.raises(BadSetting, match="cut off"):
            open_settings()

    def test_what_is_no_backup_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BadRequest, match="no whole backup"):
            read_manifest(tmp_path)


class TestCommands:
    def test_back_up_check_and_restore(self, hub: Settings, shelf: Path, tmp_path: Path) -> None:
        here = {**os.environ, "HUB_DATA": str(hub.data)}
        done = run_hub("backup", str(shelf), "--keep", "2", environment=here)
        assert done.returncode == 0, done.stderr
        assert "2 files; 1 backups there" in done.stdout
        assert "research.key is left out" in done.stderr
        made = list_backups(shelf)[0]
        there = {**os.environ, "HUB_DATA": str(tmp_path / "other")}
        assert run_hub("restore", str(made), "--check", environment=there).stdout == "whole\n"
        done = run_hub("restore", str(made), environment=there)
        assert done.returncode == 0, done.stderr
        assert noted(Settings(data=tmp_path / "other")) == ["before", "backup.restored"]
        assert noted(hub) == ["before", "backup.made"]
        assert json.loads((hub.data / "last-backup.json").read_text())["name"] == made.name
