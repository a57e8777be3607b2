"""`hub backup` and `hub restore`: everything of the hub into a folder, and back."""

import time
from pathlib import Path
from typing import Annotated

import typer

from service import audit
from service.accounts import OPERATOR
from service.backups import check_backup, list_backups, make_backup, prune_backups, read_manifest
from service.commands.opening import open_database, open_settings
from service.db import session_scope
from service.restores import restore_backup
from service.settings import Settings, read_settings

TELL_EVERY_S = 2.0


def add_to(app: typer.Typer) -> None:
    """Add both commands."""
    app.command()(backup)
    app.command()(restore)


class Progress:
    """A line every two seconds, with the time that is left."""

    def __init__(self, what: str) -> None:
        self.what, self.started = what, time.monotonic()
        self.told = self.started

    def tell(self, done: int, count: int, size: int) -> None:
        """See `backups.Tell`."""
        at = time.monotonic()
        if at - self.told < TELL_EVERY_S:
            return
        self.told = at
        left = (at - self.started) / done * (count - done)
        typer.echo(
            f"{self.what} {done:,} of {count:,} files, {size / 1e9:.1f} GB, {left:.0f} s left", err=True
        )


def backup(
    to: Annotated[Path, typer.Argument(help="Folder on another disk; each backup is a folder in it.")],
    keep: Annotated[
        int | None, typer.Option(min=1, help="Remove older backups than the newest so many.")
    ] = None,
) -> None:
    """Back up rows, jobs, inbox, files, models and keys of a running hub; files are copied once."""
    settings = open_settings(log_level="ERROR")
    engine = open_database(settings)
    made = make_backup(settings, _storage(settings), to, tell=Progress("copied").tell)
    manifest = read_manifest(made)
    gone = prune_backups(to, keep) if keep else []
    with session_scope(engine) as session:
        detail: audit.Detail = {"name": made.name, "files": manifest.num_files, "removed": len(gone)}
        audit.record(session, OPERATOR.username, "backup.made", detail=detail)
    typer.echo(f"{made}  {manifest.num_files:,} files; {len(list_backups(to))} backups there")
    if not settings.research_key and (settings.data / "research.key").exists():
        typer.echo("research.key is left out: keep it apart", err=True)
    for key in manifest.damaged:
        typer.echo(f"damaged in the storage, not in the backup: {key}", err=True)
    raise typer.Exit(1 if manifest.damaged else 0)


def restore(
    backup: Annotated[Path, typer.Argument(help="Folder of one backup.")],
    check: Annotated[bool, typer.Option("--check", help="Only look whether it is whole.")] = False,
) -> None:
    """Put a backup back into an empty HUB_DATA and database, after every file was checked."""
    if check:
        wrong = check_backup(backup, tell=Progress("checked").tell)
        for each in wrong:
            typer.echo(each)
        typer.echo("whole" if not wrong else f"{len(wrong)} files are wrong")
        raise typer.Exit(1 if wrong else 0)
    settings = read_settings()
    for lack in restore_backup(settings, _storage(settings), backup, tell=Progress("restored").tell):
        typer.echo(lack, err=True)
    with session_scope(open_database(settings)) as session:
        audit.record(session, OPERATOR.username, "backup.restored", detail={"name": backup.name})
    typer.echo(f"restored {backup.name}; `hub doctor` looks at it, `hub serve` starts it")


def _storage(settings: Settings) -> Path:
    return Path(settings.storage) if settings.storage else settings.storage_folder
