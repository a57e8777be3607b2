"""A backup: one folder with everything of a running hub, and what every file of it must be.

The order makes it whole although the hub works on: first the inbox, then the jobs, then the rows, then the
files. A study on its way from inbox to rows is then in both, and is taken once; a job that has ended since is
done again, which changes nothing; a file that a row names was there before the row, and is never changed.
A backup has its name only when all of it is on disk.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.db import now
from service.durable import sync, sync_tree
from service.errors import BadRequest, DiskFull
from service.row_copies import copy_sqlite, dump_rows, has_rows, is_database, is_sqlite
from service.settings import Settings

MANIFEST = "manifest.json"
KEYS = "storage.keys"
ROWS, JOBS, DATA, STORAGE = "hub", "jobs", "data", "storage"
NAME = "%Y%m%dT%H%M%SZ"
UNFINISHED = ".unfinished-"
CHUNK = 1 << 20
LEFT_OUT = ("viewer", "reading", "research.key", "last-backup.json")
"""Of HUB_DATA: what `hub viewer install` fetches again, what is made anew, and the secret kept apart."""

Tell = Callable[[int, int, int], None]
"""Files done, files in all, bytes copied."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    made_at: str
    engine: str
    """sqlite or postgresql: a backup goes back into the same."""
    num_files: int
    """In the storage."""
    files: dict[str, str]
    """SHA-256 by path of everything outside the storage; there a file's name is its SHA-256."""
    damaged: tuple[str, ...]
    """Keys whose bytes were not theirs; they are not in the backup."""


def make_backup(settings: Settings, storage: Path, target: Path, *, tell: Tell) -> Path:
    """Back up everything into a new folder below `target`; returns it.

    Files that the newest whole backup there has already are linked, not copied.

    Raises:
        BadRequest: `target` lies in the data or holds what is no backup. DiskFull: it would not fit.
    """
    target = target.absolute()
    if target.is_relative_to(settings.data.absolute()) or target.is_relative_to(storage.absolute()):
        raise BadRequest(f"{target} lies in what is to be backed up; give a folder on another disk")
    before = list_backups(target)
    at = now()
    whole = target / at.strftime(NAME)
    if whole.exists():
        raise BadRequest(f"{whole} is there already; backups are a second apart at least")
    scratch = target / f"{UNFINISHED}{whole.name}"
    scratch.mkdir(mode=0o700, parents=True)
    files = dict(_copy_data(settings, storage, scratch))
    jobs_apart = is_sqlite(settings.jobs_database) or settings.jobs_database != settings.database
    for name, url in ((JOBS, settings.jobs_database), (ROWS, settings.database)):
        if name == ROWS or (jobs_apart and has_rows(url)):
            copy = dump_rows(url, scratch, name)
            files[copy.name] = _digest(copy)
    count, damaged = _copy_storage(storage, scratch, before[-1] if before else None, tell)
    files[KEYS] = _digest(scratch / KEYS)
    engine = "sqlite" if is_sqlite(settings.database) else "postgresql"
    manifest = Manifest(at.isoformat(), engine, count, files, tuple(damaged))
    _write(scratch / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    sync_tree(scratch)
    scratch.rename(whole)
    sync(target)
    _write(
        settings.data / "last-backup.json", json.dumps({"at": at.isoformat(), "name": whole.name}).encode()
    )
    return whole


def list_backups(target: Path) -> list[Path]:
    """The whole backups below a folder, oldest first."""
    if not target.is_dir():
        return []
    return sorted(
        each.parent for each in target.glob(f"*/{MANIFEST}") if not each.parent.name.startswith(".")
    )


def prune_backups(target: Path, keep: int) -> list[Path]:
    """Remove all but the newest `keep` backups, and what interrupted ones left; returns what went."""
    stale = [each for each in target.glob(f"{UNFINISHED}*") if each.is_dir()]
    gone = [*list_backups(target)[:-keep], *stale]
    for each in gone:
        (each / MANIFEST).unlink(missing_ok=True)  # half removed, it must not look whole
        shutil.rmtree(each)
    return gone


def last_backup(data: Path) -> datetime | None:
    """When the newest backup was made; None where none was."""
    try:
        return datetime.fromisoformat(json.loads((data / "last-backup.json").read_text())["at"]).astimezone(
            UTC
        )
    except (OSError, ValueError, KeyError):
        return None


def read_manifest(backup: Path) -> Manifest:
    """What a backup says of itself.

    Raises:
        BadRequest: this is no whole backup.
    """
    try:
        fields = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
        return Manifest(**{**fields, "damaged": tuple(fields["damaged"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"{backup} is no whole backup: {error}") from None


def check_backup(backup: Path, *, tell: Tell) -> list[str]:
    """Every file against its hash; returns what is wrong, in words."""
    manifest = read_manifest(backup)
    wrong = [
        f"{name} is missing or changed"
        for name, digest in manifest.files.items()
        if not (backup / name).is_file() or _digest(backup / name) != digest
    ]
    keys = (backup / KEYS).read_text(encoding="ascii").split() if (backup / KEYS).is_file() else []
    size = 0
    for done, key in enumerate(keys, 1):
        path = backup / STORAGE / key[:2] / key
        if not path.is_file() or _digest(path) != key:
            wrong.append(f"{STORAGE}/{key} is missing or changed")
        else:
            size += path.stat().st_size
        tell(done, len(keys), size)
    return wrong


def _copy_data(settings: Settings, storage: Path, scratch: Path) -> Iterator[tuple[str, str]]:
    """Everything in HUB_DATA but the databases and the storage; the inbox first."""
    data = settings.data.absolute()
    paths = sorted(
        _kept(data, storage.absolute()), key=lambda path: (path.parts[len(data.parts)] != "inbox", path)
    )
    for path in paths:
        copy = scratch / DATA / path.relative_to(data)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            if is_database(path):
                copy_sqlite(path, copy)
                digest = _digest(copy)
            else:
                digest, _ = copy_file(path, copy)
        except FileNotFoundError:
            continue  # the hub has taken it since: it will be among the rows
        yield copy.relative_to(scratch).as_posix(), digest


def _kept(data: Path, storage: Path) -> Iterator[Path]:
    left_out = {data / name for name in LEFT_OUT} | {storage, data / "hub.sqlite", data / "jobs.sqlite"}
    for folder, folders, names in os.walk(data):
        here = Path(folder)
        folders[:] = [name for name in folders if here / name not in left_out]
        for name in names:
            path = here / name
            if path not in left_out and path.suffix != ".lock" and not name.endswith(("-wal", "-shm")):
                yield path


def _copy_storage(storage: Path, scratch: Path, before: Path | None, tell: Tell) -> tuple[int, list[str]]:
    paths = [path for folder in sorted(storage.glob("[0-9a-f][0-9a-f]")) for path in sorted(folder.iterdir())]
    fresh = [path for path in paths if before is None or not _place(before, path.name).exists()]
    needed, free = sum(path.stat().st_size for path in fresh), shutil.disk_usage(scratch).free
    if needed > free:
        raise DiskFull(
            f"the files take {needed // 2**20} MB, and {scratch.parent} has {free // 2**20} MB free"
        )
    new, damaged, kept, size = set(fresh), [], [], 0
    for done, path in enumerate(paths, 1):
        copy = _place(scratch, path.name)
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path in new or before is None:
            digest, length = copy_file(path, copy)
            size += length
            if digest != path.name:
                damaged.append(path.name)
                copy.unlink()
                continue
        else:
            os.link(_place(before, path.name), copy)
        kept.append(path.name)
        tell(done, len(paths), size)
    _write(scratch / KEYS, "".join(f"{key}\n" for key in kept).encode())
    return len(kept), damaged


def _place(backup: Path, key: str) -> Path:
    return backup / STORAGE / key[:2] / key


def copy_file(source: Path, target: Path) -> tuple[str, int]:
    """Copy one file; returns the SHA-256 of what was copied and its bytes."""
    state, length = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("xb") as written:
        while part := read.read(CHUNK):
            state.update(part)
            length += written.write(part)
    return state.hexdigest(), length


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    sync(path)
