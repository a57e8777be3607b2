"""`hub api`: the API alone."""

import typer
import uvicorn

from service.app import create_app
from service.commands.opening import open_process
from service.db import make_engine
from service.orders import Orders

KEEP_ALIVE_S = 75
"""Longer than proxies keep a connection, which must not be closed under their next request; and a reader who
looks at a picture for a while does not pay a new connection's round trips on a slow line."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(api)


def api() -> None:
    """Answer over HTTP: the API alone."""
    settings = open_process()
    engine = make_engine(settings.database)
    orders = Orders(engine, settings.jobs_database)
    uvicorn.run(
        create_app(
            settings,
            engine=engine,
            enqueue=orders.analyse,
            queue_depth=orders.waiting,
            worker_seen=orders.last_heard,
            jobs=orders,
        ),
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
