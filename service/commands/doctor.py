"""`hub doctor`: what is wrong with this installation, in words."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import typer
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from model.weights import BadArtefact, load_artefact
from service import circuits, deliveries, delivery_lists
from service.accounts import OPERATOR
from service.backups import last_backup
from service.certificates import list_certificates
from service.channels.opening import open_channels
from service.commands.opening import open_settings
from service.db import make_engine, now, session_scope
from service.jobs import JobClient
from service.ladders import unreached
from service.model_states import ModelState
from service.models import list_models
from service.moph.keys import list_keys
from service.moph.messages import FAILED, list_messages
from service.placements import placements
from service.settings import Settings

STALE_SECONDS = 10.0
STALE_BACKUP = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    well: bool
    said: str


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor() -> None:
    """Look at disk, database, model, processes, ports, certificates; exit status 1 if anything is wrong."""
    settings = open_settings(log_level="ERROR")
    checks = list(examine(settings))
    for check in checks:
        print(f"{'ok  ' if check.well else 'BAD '} {check.name:<10} {check.said}")
    raise typer.Exit(0 if all(check.well for check in checks) else 1)


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, in the order in which one depends on the other."""
    for name, look in CHECKS.items():
        try:
            yield Check(name, True, look(settings))
        except Ill as ill:
            yield Check(name, False, str(ill))


class Ill(Exception):
    """What is wrong and what to do about it."""


def _disk(settings: Settings) -> str:
    free_mb = shutil.disk_usage(settings.data).free // 2**20
    if free_mb < settings.disk_reserve_mb:
        raise Ill(
            f"{free_mb} MB free in {settings.data}, below HUB_DISK_RESERVE_MB={settings.disk_reserve_mb}: "
            "studies are being refused (0xA700); free some space"
        )
    return f"{free_mb} MB free in {settings.data}"


def _backup(settings: Settings) -> str:
    made = last_backup(settings.data)
    if made is None:
        return "none made yet: hub backup FOLDER"
    if (old := now() - made) > STALE_BACKUP:
        raise Ill(f"the last one is {old.days} days old: hub backup FOLDER, daily")
    return f"the last one is of {made:%Y-%m-%d %H:%M}Z"


def _database(settings: Settings) -> str:
    engine = make_engine(settings.database)
    try:
        with session_scope(engine, write=False) as session:
            revision = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    except SQLAlchemyError as error:
        raise Ill(
            f"cannot be read ({type(error).__name__}); start `hub serve` once, or see HUB_DATABASE_URL"
        ) from None
    finally:
        engine.dispose()
    return f"{engine.dialect.name}, tables at {revision}"


def _model(settings: Settings) -> str:
    try:
        artefacts = [load_artefact(path) for path in (settings.model, *_live_packages(settings))]
    except (BadArtefact, OSError) as error:
        raise Ill(str(error)) from None
    return ", ".join(f"{each.name}, sha256 {each.digest[:12]}" for each in artefacts)


def _live_packages(settings: Settings) -> list[Path]:
    """Folders of the registered models that read somewhere."""
    engine = make_engine(settings.database)
    try:
        with session_scope(engine, write=False) as session:
            live = {each.model_id for each in placements(session) if each.state is ModelState.LIVE}
            return [settings.data / each.folder for each in list_models(session) if each.id in live]
    except SQLAlchemyError:
        return []  # said by the check of the database
    finally:
        engine.dispose()


def _workers(settings: Settings) -> str:
    client = JobClient(settings.jobs_database)
    try:
        alive = [each for each in client.workers() if each.seconds_silent < STALE_SECONDS]
        failed = client.failed(limit=1000)
    finally:
        client.close()
    if not alive:
        raise Ill(
            f"none was heard in the last {STALE_SECONDS:.0f} s: studies wait; start `hub work` or `hub serve`"
        )
    return f"{len(alive)} at work, {len(failed)} failed jobs"


def _deliveries(settings: Settings) -> str:
    engine = make_engine(settings.database)
    try:
        with session_scope(engine, write=False) as session:
            waiting = delivery_lists.waiting_by_peer(session)
            spared = {each.peer: each.last_error for each in circuits.open_circuits(session, now())}
            expired = delivery_lists.count_state(session, deliveries.DeliveryState.EXPIRED)
    except SQLAlchemyError as error:
        raise Ill(f"cannot be read ({type(error).__name__})") from None
    finally:
        engine.dispose()
    said = ", ".join(f"{number} wait for {peer}" for peer, number in waiting.items()) or "nothing waits"
    if spared:
        why = "; ".join(f"{peer} does not answer: {error}" for peer, error in spared.items())
        raise Ill(f"{said}; {why}; see `hub deliver list`, `hub peer echo`")
    if expired:
        raise Ill(f"{said}; {expired} were given up after 72 h: `hub deliver retry`")
    return said


def _alerts(settings: Settings) -> str:
    engine = make_engine(settings.database)
    try:
        with session_scope(engine, write=False) as session:
            nobody = unreached(session, now())
    except SQLAlchemyError as error:
        raise Ill(f"cannot be read ({type(error).__name__})") from None
    finally:
        engine.dispose()
    if nobody:
        raise Ill(
            f"a flag would reach nobody now at hospitals {', '.join(nobody)}: nobody with a contact is on "
            "call there or behind them; see `hub roster add`, `hub roster contact`"
        )
    ways = ", ".join(sorted(way.value for way in open_channels(settings)))
    return f"somebody can be told wherever studies come from; ways: {ways}"


def _ministry(settings: Settings) -> str:
    engine = make_engine(settings.database)
    try:
        with session_scope(engine, write=False) as session:
            hospitals = [each.hcode for each in list_keys(session)]
            failed = len(list_messages(session, OPERATOR, states=FAILED, limit=1000))
    except SQLAlchemyError as error:
        raise Ill(f"cannot be read ({type(error).__name__})") from None
    finally:
        engine.dispose()
    if hospitals and not settings.nrefer_url:
        raise Ill(f"{len(hospitals)} hospitals have keys, but HUB_NREFER_URL is empty: nothing is sent")
    if failed:
        raise Ill(f"{failed} records were refused or given up; see the console, or /api/v1/moph/messages")
    where = f" to {settings.nrefer_url}" if settings.nrefer_url else ""
    return f"referrals of {len(hospitals)} hospitals are reported{where}"


def _processes(settings: Settings) -> str:
    path = settings.processes_file
    if not path.exists():
        return "not run by `hub serve`"
    rows = json.loads(path.read_text())["children"]
    return ", ".join(f"{row['name']} (restarted {row['restarts']} times)" for row in rows)


def _dicom(settings: Settings) -> str:
    return _answers("DICOM", settings.dicom_host, settings.dicom_port)


def _http(settings: Settings) -> str:
    return _answers("HTTP", settings.http_host, settings.http_port)


def _answers(what: str, host: str, port: int) -> str:
    here = "127.0.0.1" if host == "0.0.0.0" else host  # an open socket answers on loopback too
    try:
        with socket.create_connection((here, port), timeout=2):
            return f"{what} answers on {host}:{port}"
    except OSError as error:
        raise Ill(
            f"nothing answers on {host}:{port} ({error.strerror or error}); is `hub serve` running?"
        ) from None


def _tls(settings: Settings) -> str:
    found = list_certificates(settings.tls)
    if not found:
        return "no certificate, no DICOM over TLS (`hub tls init` makes one)"
    soon = [f"{each.name} {each.expires_at:%Y-%m-%d}" for each in found if each.expires_soon]
    if soon:
        raise Ill(f"certificates expire within 30 days: {', '.join(soon)}; see `hub tls list --expiring`")
    return f"{len(found)} certificates, the first expires {found[0].expires_at:%Y-%m-%d}"


CHECKS: dict[str, Callable[[Settings], str]] = {
    "disk": _disk,
    "backup": _backup,
    "database": _database,
    "model": _model,
    "workers": _workers,
    "outbound": _deliveries,
    "alerts": _alerts,
    "moph": _ministry,
    "processes": _processes,
    "dicom": _dicom,
    "http": _http,
    "tls": _tls,
}
