"""A backup put back, into an empty place; half put back, nothing of the hub starts there."""

import json
import shutil
from pathlib import Path

from service.backups import (
    DATA,
    JOBS,
    KEYS,
    ROWS,
    STORAGE,
    Tell,
    check_backup,
    copy_file,
    read_manifest,
)
from service.durable import sync_tree
from service.errors import BadRequest, DiskFull
from service.restoring import mark
from service.row_copies import assert_empty, is_sqlite, load_rows
from service.settings import Settings

BRINGS = ("research.key",)
"""May lie in HUB_DATA before: it is in no backup."""


def restore_backup(settings: Settings, storage: Path, backup: Path, *, tell: Tell) -> list[str]:
    """Put a backup back; returns what the backup says that it lacks, in words.

    Everything is checked against its hash before anything is written, and each copy as it is made. The rows
    go last.

    Raises:
        BadRequest: the backup is damaged or of another kind of database, or data, storage or database are not
            empty. DiskFull: it would not fit.
    """
    manifest = read_manifest(backup)
    engine = "sqlite" if is_sqlite(settings.database) else "postgresql"
    if manifest.engine != engine:
        raise BadRequest(f"the backup is of {manifest.engine}, and HUB_DATABASE_URL is of {engine}")
    if wrong := check_backup(backup, tell=tell):
        raise BadRequest(
            f"the backup is damaged: {'; '.join(wrong[:3])}" + (", ..." if len(wrong) > 3 else "")
        )
    _assert_empty(settings, storage)
    data = settings.data
    data.mkdir(parents=True, exist_ok=True)
    needed, free = (
        sum(f.stat().st_size for f in backup.rglob("*") if f.is_file()),
        shutil.disk_usage(data).free,
    )
    if needed > free:
        raise DiskFull(f"the backup takes {needed // 2**20} MB, and {data} has {free // 2**20} MB free")
    mark(data).write_text(json.dumps({"backup": backup.name}), encoding="utf-8")
    for name in manifest.files:
        if name.startswith(f"{DATA}/"):
            _bring(backup / name, data / name.removeprefix(f"{DATA}/"), manifest.files[name])
    keys = (backup / KEYS).read_text(encoding="ascii").split()
    size = 0
    for done, key in enumerate(keys, 1):
        size += _bring(backup / STORAGE / key[:2] / key, storage / key[:2] / key, key)
        tell(done, len(keys), size)
    sync_tree(data)
    sync_tree(storage)
    for name, url in ((JOBS, settings.jobs_database), (ROWS, settings.database)):
        if any(each.startswith(f"{name}.") for each in manifest.files):
            load_rows(url, backup, name)
    mark(data).unlink()
    sync_tree(data)
    lacks = [f"storage/{key} was damaged when the backup was made" for key in manifest.damaged]
    if not settings.research_key and not (data / "research.key").exists():
        lacks.append("research.key is in no backup: put it back where pseudonyms of cases must go on")
    return lacks


def _bring(source: Path, target: Path, digest: str) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    found, size = copy_file(source, target)
    if found != digest:
        raise BadRequest(f"{source.name} became {found[:12]} while it was copied; it must be {digest[:12]}")
    return size


def _assert_empty(settings: Settings, storage: Path) -> None:
    for folder in (settings.data, storage):
        there = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        if there := [name for name in there if name not in BRINGS]:
            raise BadRequest(
                f"{folder} is not empty ({', '.join(there[:3])}); a backup goes back into an empty folder: "
                "give another HUB_DATA"
            )
    for url in (settings.database, settings.jobs_database):
        assert_empty(url)
