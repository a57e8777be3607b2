"""kill -9 of the process that brings alerts out: no alert is lost, and what is told twice says so itself."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from service.accounts import OPERATOR
from service.alert_deliveries import AlertDelivery, TellState, messages_of
from service.alerts import Alert, AlertKind, raise_alert
from service.contacts import Way, add_contact
from service.db import session_scope
from service.settings import Settings
from tests.hub import until
from tests.mail import mail_server
from tests.service.factories import LOEI, registered
from tests.stand_in import stand_in

pytestmark = pytest.mark.one_database  # the processes open SQLite; rows and locks are tested with their verbs

ROOT = Path(__file__).parents[2]
SECONDS = 60.0


@contextmanager
def life(data: Path, smtp: int, *how: str) -> Iterator[None]:
    """A process for the block; then kill -9."""
    script = Path(__file__).with_name("alert_process.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(data), str(smtp), *how], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def messages(engine: Engine) -> list[AlertDelivery]:
    with session_scope(engine, write=False) as session:
        (alert,) = session.scalars(select(Alert))
        return [each for each in messages_of(session, alert.id) if each.way is not Way.IN_APP]


def two_minutes_pass(engine: Engine) -> None:
    with session_scope(engine) as session:
        alert = session.scalars(select(Alert)).one()
        assert alert.next_at is not None
        alert.raised_at, alert.next_at = (
            each - timedelta(minutes=2) for each in (alert.raised_at, alert.next_at)
        )


def test_no_alert_is_lost_and_a_repeat_bears_the_same_id(engine: Engine, settings: Settings) -> None:
    with stand_in() as hook, mail_server() as mail:
        with session_scope(engine) as session:
            study = registered(session, hcode=LOEI)
            add_contact(session, OPERATOR, Way.WEBHOOK, f"{hook.url}/his", hcode=LOEI)
            add_contact(session, OPERATOR, Way.EMAIL, "er@x.example", hcode=LOEI)
            raise_alert(session, AlertKind.FLAG, hcode=LOEI, study_id=study.id, path="/studies/1", key="k")
        with life(settings.data, mail.port, "still"):
            until((settings.data / "sent").exists, seconds=SECONDS, hint="a webhook was posted")
            two_minutes_pass(engine)
            until((settings.data / "hop").exists, seconds=SECONDS, hint="the ladder is within a hop")
        # the post is not written down, and the hop is as if it had never begun
        assert [each.state for each in messages(engine) if each.way is Way.WEBHOOK] == [TellState.WAITING]
        assert len(hook.posted) == 1

        with life(settings.data, mail.port):

            def all_told() -> bool:
                states = Counter((each.hop, each.state) for each in messages(engine))
                return states == {(0, TellState.DELIVERED): 2, (1, TellState.DELIVERED): 2}

            until(all_told, seconds=SECONDS, hint="both hops are told by both ways")
        hooks = [f"alert-message-{each.id}" for each in messages(engine) if each.way is Way.WEBHOOK]
        assert Counter(each.json["id"] for each in hook.posted) == {hooks[0]: 2, hooks[1]: 1}
        assert len({str(letter["Message-ID"]) for _, letter in mail.taken}) == 2
