"""A process that brings alerts out as `hub work` does, without the network; it stands still where told to.

    python alert_process.py DATA SMTP_PORT [still]

`still`: the messenger stands still once a webhook was posted and is not written down (the file DATA/sent is
made), the ladder within the transaction of a second hop (DATA/hop). There they wait to be killed.
"""

import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from pacs_gateway.inbox import Inbox
from service.alerts import Alert, AlertKind, Withdrawal
from service.channels.email import Email, Security, Server
from service.channels.message import Destination, Message
from service.channels.webhook import Webhook
from service.contacts import Way
from service.db import make_engine
from service.dispatch import Dispatch
from service.ladders import Ladder
from service.messengers import Messenger
from service.orders import TELL, Orders
from service.settings import Settings
from service.workers import Worker

FOLDER, SMTP_PORT = Path(sys.argv[1]), int(sys.argv[2])
STILL = sys.argv[3:] == ["still"]


def stand_still(where: str) -> None:
    """Until somebody kills the process."""
    (FOLDER / where).touch()
    threading.Event().wait()


class StillWebhook(Webhook):
    """Posts, and never comes to say so."""

    def send(self, message: Message, to: Destination) -> str:
        super().send(message, to)
        stand_still("sent")
        raise AssertionError


class StillLadder(Ladder):
    """Takes the second hop, and never comes to commit it."""

    def _tell(self, session: Session, alert: Alert, at: datetime, **how: Any) -> None:
        super()._tell(session, alert, at, **how)
        session.flush()
        if alert.hop:
            stand_still("hop")


def main() -> None:
    settings = Settings(data=FOLDER)
    engine = make_engine(settings.database)
    orders = Orders(engine, settings.jobs_database)
    server = Server("127.0.0.1", SMTP_PORT, "hub@hub.example", security=Security.OFF)
    messenger = Messenger(
        engine,
        {Way.EMAIL: Email(server), Way.WEBHOOK: StillWebhook() if STILL else Webhook()},
        titles={word: ("เตือน", word.value) for word in (*AlertKind, *Withdrawal)},
        address="https://hub.example",
        wake=orders.tell,
    )
    worker = Worker(settings.jobs_database, slot="worker-1", beat_every=0.2, dead_after=2.0)
    worker.register(TELL, messenger.steps(), on_failure=messenger.give_up)
    worker.launch()
    ladder = (StillLadder if STILL else Ladder)(engine)
    dispatch = Dispatch(engine, orders, Inbox(settings.inbox, reserve_bytes=1), ladder=ladder)
    threading.Thread(target=dispatch.run, args=(threading.Event(),), daemon=True).start()
    worker.run(grace=timedelta(seconds=5).total_seconds())


main()
