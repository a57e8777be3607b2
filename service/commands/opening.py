"""What most commands open first: settings, log, database at its newest tables."""

from sqlalchemy import Engine

from service import hospitals, logs
from service.db import make_engine, session_scope, upgrade
from service.settings import Settings, read_settings


def open_settings() -> Settings:
    """Settings from the environment; the log is set up as they say."""
    settings = read_settings()
    logs.configure(settings.log_level)
    settings.data.mkdir(parents=True, exist_ok=True)
    return settings


def open_database(settings: Settings, *, learn: bool = False) -> Engine:
    """The database, upgraded, with the region's hospitals and the listener's list of callers written."""
    engine = make_engine(settings.database)
    upgrade(engine)
    with session_scope(engine) as session:
        hospitals.seed_hospitals(session)
        hospitals.write_callers(session, settings.callers, learn=learn)
    return engine
