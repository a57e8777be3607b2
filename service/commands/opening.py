"""What a command opens first: settings and log, and where it needs it the database at its newest tables."""

import os
from typing import TYPE_CHECKING

from service import logs
from service.processes import PARENT_VARIABLE, die_with_parent
from service.restoring import assert_restored
from service.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine


def open_settings(*, log_level: str | None = None) -> Settings:
    """Settings from the environment; the log is set up as they say, or as `log_level`."""
    settings = read_settings()
    logs.configure(log_level or settings.log_level)
    settings.data.mkdir(parents=True, exist_ok=True)
    assert_restored(settings.data)
    return settings


def open_database(settings: Settings, *, learn: bool = False) -> "Engine":
    """The database, upgraded, with the region's hospitals and the listener's lists written."""
    # not at the top: the listener imports this module and must stay without the database's 60 MB
    from service import callers, capabilities, hospitals, peers
    from service.db import make_engine, session_scope, upgrade

    engine = make_engine(settings.database)
    upgrade(engine)
    with session_scope(engine) as session:
        hospitals.seed_hospitals(session)
        capabilities.seed_capabilities(session)
        callers.write_callers(session, settings.callers, learn=learn or settings.learn_callers)
        peers.write_peers(session, settings.peers)
    return engine


def open_process(*, learn: bool = False) -> Settings:
    """Settings for one long-lived process; under `hub serve` the parent has opened the database already."""
    die_with_parent()
    settings = open_settings()
    if PARENT_VARIABLE not in os.environ:
        open_database(settings, learn=learn).dispose()
    return settings
