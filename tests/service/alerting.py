"""An evening of alerts whose clock the test turns, with channels in memory."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select

from service.accounts import OPERATOR, Role, add_account
from service.alert_deliveries import AlertDelivery, lines_due, messages_of
from service.alerts import Alert, AlertKind, Withdrawal, find_alert, list_alerts, raise_alert
from service.channels.message import Channel, Destination, Message
from service.contacts import Way, add_contact
from service.db import session_scope
from service.ladders import Ladder
from service.messengers import Messenger
from service.quiet import Limits
from service.rosters import add_shift
from service.studies import Study
from tests.service.factories import registered

START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
"""Ten in the morning in Thailand."""
KUMPHAWAPI = "11015"


class Recorder:
    """A channel in memory: what it was given, and what it makes of the next."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Message]] = []
        self.trouble: Exception | None = None
        self.meanwhile: Callable[[], object] | None = None
        """What happens while a message is on its way."""

    def send(self, message: Message, to: Destination) -> str:
        if self.trouble is not None:
            raise self.trouble
        if self.meanwhile is not None:
            self.meanwhile()
        self.taken.append((to.address, message))
        return f"taken {len(self.taken)}"

    @property
    def to(self) -> list[str]:
        return [address for address, _ in self.taken]


class Night:
    """A hub whose clock the test turns: its rows, its ladder, its messenger."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        self.engine, self.at = engine, START
        self.mail, self.hook = Recorder(), Recorder()
        self.wakes: list[tuple[str, datetime | None]] = []
        self.channels: dict[Way, Channel] = {Way.EMAIL: self.mail, Way.WEBHOOK: self.hook}
        self.ladder = Ladder(engine, limits=limits, clock=lambda: self.at)
        self.messenger = Messenger(
            engine,
            self.channels,
            titles={word: ("ไทย", word.value) for word in (*AlertKind, *Withdrawal)},
            address="https://hub.example",
            wake=lambda line, at: self.wakes.append((line, at)),
            clock=lambda: self.at,
        )

    def raise_flag(
        self, study: str = "1.2.3", *, hcode: str = KUMPHAWAPI, kind: AlertKind = AlertKind.FLAG
    ) -> int:
        with session_scope(self.engine) as session:
            found = session.scalar(select(Study).where(Study.study_instance_uid == study))
            row = found or registered(session, study, hcode=hcode)
            key = f"{kind.value}:{row.id}:{len(list_alerts(session, OPERATOR, limit=200))}"
            alert = raise_alert(
                session, kind, hcode=hcode, study_id=row.id, path=f"/studies/{study}", key=key, at=self.at
            )
            return alert.id

    def forward(self, **how_far: float) -> None:
        """Let time pass, and do all that is due then."""
        self.at += timedelta(**how_far)
        self.run()

    def run(self) -> None:
        self.ladder.climb()
        with session_scope(self.engine, write=False) as session:
            due = lines_due(session, self.at)
        for line in due:
            self.messenger.tell({"line": line})

    def alert(self, number: int) -> Alert:
        with session_scope(self.engine, write=False) as session:
            return find_alert(session, number, OPERATOR)

    def messages(self, number: int) -> Sequence[AlertDelivery]:
        with session_scope(self.engine, write=False) as session:
            return [each for each in messages_of(session, number) if each.way is not Way.IN_APP]

    def on_call(self, hcode: str, *names: str) -> None:
        """Put people on call in this order, each with an address of their own."""
        with session_scope(self.engine) as session:
            for place, name in enumerate(names, start=1):
                add_account(session, name, Role.REFERRER, hcode=hcode)
                times = {"starts_at": START - timedelta(hours=1), "ends_at": START + timedelta(days=2)}
                add_shift(session, OPERATOR, hcode, name, place=place, **times)
                add_contact(session, OPERATOR, Way.EMAIL, f"{name}@x.example", username=name)
