"""`hub send`, `import`, `wait` and `result`: studies by hand."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.inbox import Inbox
from pacs_gateway.sender import Peer, SendResult
from pacs_gateway.sender import send as send_files
from service import peers, results
from service.accounts import OPERATOR
from service.commands.opening import open_database, open_settings
from service.commands.peers import read_address
from service.db import session_scope
from service.errors import NotFound
from service.sight import find_study
from service.states import OUTCOMES

POLL_SECONDS = 0.2
IMPORT_AE = "IMPORT"
"""The caller that receipts name for files taken from disk."""

Paths = Annotated[list[Path], typer.Argument(help="Files or folders.", exists=True)]
StudyUid = Annotated[str, typer.Argument(help="Study Instance UID.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(send)
    app.command("import")(import_)
    app.command()(wait)
    app.command()(result)


def send(
    paths: Paths,
    to: Annotated[str, typer.Option(help="Where to: AET@HOST:PORT, or the name of a peer.")],
    calling: Annotated[str, typer.Option("--from", help="Our own AE title.")] = "IMAGINGHUB",
    associations: Annotated[int, typer.Option(min=1, max=16, help="How many at once.")] = 1,
) -> None:
    """Send DICOM files by C-STORE; exit status 1 when any was not stored."""
    files = _files(paths)
    results = send_files(
        files,
        _peer(to),
        calling_ae=calling,
        associations=associations,
        progress=_show_progress(len(files)),
    )
    failed = [result for result in results if not result.stored]
    for result in failed:
        print(f"{result.path}: {result.text}", file=sys.stderr)
    print(f"{len(results) - len(failed)} of {len(results)} stored")
    raise typer.Exit(1 if failed else 0)


def import_(
    paths: Paths,
    hospital: Annotated[str | None, typer.Option(help="Hospital code the studies belong to.")] = None,
) -> None:
    """Take DICOM files from disk, as if a hospital had sent them; exit status 1 when any was refused."""
    settings = open_settings()
    open_database(settings).dispose()
    inbox = Inbox(settings.inbox, reserve_bytes=settings.disk_reserve_bytes)
    sender = Sender(calling_ae=IMPORT_AE, called_ae=settings.ae_title, address="", hcode=hospital)
    association = inbox.open_association(sender)
    refused = 0
    files = _files(paths)
    show = _show_progress(len(files))
    for path in files:
        try:
            inbox.add_part10(path, sender, association_id=association)
        except ValueError as error:
            refused += 1
            print(f"{path}: {error}", file=sys.stderr)
        show()
    inbox.close_association(association, Ending.RELEASED)
    print(f"{len(files) - refused} of {len(files)} taken")
    raise typer.Exit(1 if refused else 0)


def wait(
    study_uid: StudyUid,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 120.0,
) -> None:
    """Wait for a study's final state and print its result as JSON; exit status 1 on time-out."""
    engine = open_database(open_settings())
    deadline = time.monotonic() + timeout
    while True:
        found = _result(engine, study_uid)
        if found is not None and found["state"] in OUTCOMES:
            print(json.dumps(found, ensure_ascii=False, indent=2))
            return
        if time.monotonic() > deadline:
            state = found["state"] if found else "not known"
            print(f"hub: study {study_uid} is {state} after {timeout:g} s", file=sys.stderr)
            raise typer.Exit(1)
        time.sleep(POLL_SECONDS)


def result(study_uid: StudyUid) -> None:
    """Print what is known of a study as JSON."""
    found = _result(open_database(open_settings()), study_uid)
    if found is None:
        raise NotFound(f"no study {study_uid!r}")
    print(json.dumps(found, ensure_ascii=False, indent=2))


def _result(engine: Engine, study_uid: str) -> dict[str, Any] | None:
    with session_scope(engine, write=False) as session:
        try:
            study = find_study(session, study_uid, OPERATOR)
        except NotFound:
            return None
        return results.result(session, study)


def _peer(to: str) -> Peer:
    """A peer by its name, with its TLS; or AET@HOST:PORT in plain."""
    if "@" in to:
        return Peer(**read_address(to))
    settings = open_settings()
    with session_scope(open_database(settings), write=False) as session:
        return peers.as_remote(peers.find_peer(session, to), settings)


def _files(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        files += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return files


def _show_progress(total: int) -> Any:
    """A line that counts, for a person who watches; silent in a pipe."""

    done = 0

    def show(_result: SendResult | None = None) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{done} of {total}", end=end, file=sys.stderr, flush=True)

    return show
