"""Messenger: carries the messages of alerts that are due on one line, and keeps the proof of each.

As with deliveries to PACS there is one job a line at a time, and a line that does not answer is knocked at
ever less often. A message whose alert somebody has answered meanwhile is not sent.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import circuits
from service.alert_deliveries import (
    GIVE_UP_AFTER,
    LONGEST_PROOF,
    AlertDelivery,
    TellState,
    next_look,
    next_message,
    settle_message,
)
from service.alert_states import AlertState
from service.alerts import Alert, AlertKind, Withdrawal
from service.arrivals import clean
from service.case_numbers import case_number
from service.channels.message import Channel, Destination, Later, Message, Refused, Unreachable
from service.contacts import Contact, Way
from service.corrections import correct_contact
from service.db import now, session_scope
from service.failures import Failure
from service.hospitals import find_hospital
from service.steps import Step

log = logging.getLogger(__name__)

SLICE_SECONDS: Final = 60.0
LONGEST_WAIT: Final = timedelta(minutes=1)
"""An alert cannot wait a quarter of an hour for the next knock, as a delivery to a PACS may."""
ONE_WAITS: Final = timedelta(seconds=30)

Wake = Callable[[str, datetime | None], object]
Titles = Mapping[AlertKind | Withdrawal, tuple[str, ...]]
"""What each kind and each withdrawal is called, in Thai and in English."""
CLOSED: Final = (AlertState.ACKNOWLEDGED, AlertState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class _Errand:
    number: int
    way: Way
    message: Message
    to: Destination


@dataclass(frozen=True, slots=True)
class _Outcome:
    number: int
    state: TellState
    """`WAITING` where it may go better another time."""
    proof: str
    spare: bool = False
    """Whether the whole line is to be left alone for a while."""


class Messenger:
    """Brings alerts to people.

    Args:
        engine: The rows.
        channels: The ways that this hub has; a message by another is refused with that reason.
        titles: What each kind and each withdrawal is called.
        address: The hub's own address, before the path of a link.
        wake: Puts the next look at a line in line.
        clock: Now; only tests give another.
    """

    def __init__(
        self,
        engine: Engine,
        channels: Mapping[Way, Channel],
        *,
        titles: Titles,
        address: str,
        wake: Wake,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._channels = channels
        self._titles = titles
        self._address = address.rstrip("/")
        self._wake = wake
        self._clock = clock

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `TELL`; what a channel does wrong is no failure of the job."""
        return (Step(self.tell, attempts=3, first_wait=2.0),)

    def tell(self, argument: dict[str, str]) -> None:
        """Send everything that is due on one line (the job's step); then put the next look in line."""
        line, ends = argument["line"], time.monotonic() + SLICE_SECONDS
        errand = self._turn(line, None)
        while errand is not None:
            outcome = self._send(errand)
            log.info(
                "alert told", extra={"delivery": errand.number, "line": line, "state": outcome.state.value}
            )
            errand = self._turn(line, outcome, more=time.monotonic() < ends)
        with session_scope(self._engine) as session:
            moment = next_look(session, line)
        if moment is not None:
            self._wake(line, moment if moment > self._clock() else None)

    def give_up(self, failure: Failure) -> None:
        """A job broke on something unforeseen: the messages wait on, the line is spared for a while."""
        line = failure.argument["line"]
        with session_scope(self._engine) as session:
            circuits.note_failure(session, line, failure.error, self._clock(), longest=LONGEST_WAIT)
        log.error("alerts stopped", extra={"line": line, "step": failure.step})

    def _turn(self, line: str, outcome: _Outcome | None, *, more: bool = True) -> _Errand | None:
        """Write down what became of one message and take the next, in one transaction."""
        at = self._clock()
        with session_scope(self._engine) as session:
            if outcome is not None:
                _settle(session, line, outcome, at)
                session.flush()
            return self._next(session, line, at) if more else None

    def _next(self, session: Session, line: str, at: datetime) -> _Errand | None:
        """The next message to send; those that need not or cannot be sent are ended on the way."""
        while (row := next_message(session, line, at)) is not None:
            alert = session.get_one(Alert, row.alert_id)
            contact = session.get(Contact, row.contact_id) if row.contact_id else None
            row.attempts += 1
            if alert.state in CLOSED and not row.corrects:
                settle_message(session, row, TellState.WITHDRAWN, "", at)
            elif at - row.created_at >= GIVE_UP_AFTER:
                settle_message(session, row, TellState.EXPIRED, f"not in an hour; last: {row.proof}", at)
            elif contact is None:
                settle_message(session, row, TellState.REFUSED, "the contact was removed", at)
            elif contact.way not in self._channels:
                why = f"this hub has no {contact.way.value}: see its settings"
                settle_message(session, row, TellState.REFUSED, why, at)
            else:
                message = self._message(session, alert, row)
                return _Errand(row.id, row.way, message, Destination(contact.address, contact.secret))
            session.flush()
        return None

    def _send(self, errand: _Errand) -> _Outcome:
        try:
            proof = self._channels[errand.way].send(errand.message, errand.to)
            return _Outcome(errand.number, TellState.DELIVERED, proof)
        except Unreachable as error:
            return _Outcome(errand.number, TellState.WAITING, str(error), spare=True)
        except Later as error:
            return _Outcome(errand.number, TellState.WAITING, str(error))
        except Refused as error:
            return _Outcome(errand.number, TellState.REFUSED, str(error))
        except ValueError as error:
            # what cannot even be written, such as a Thai mailbox, must not hold up those behind it
            return _Outcome(errand.number, TellState.REFUSED, f"{type(error).__name__}: {error}")

    def _message(self, session: Session, alert: Alert, row: AlertDelivery) -> Message:
        hospital = find_hospital(session, alert.hcode)
        why = alert.withdrawn_because if row.corrects else None
        return Message(
            number=row.id,
            alert=alert.id,
            kind=f"{alert.kind.value}_withdrawn" if why else alert.kind.value,
            titles=self._titles[why or alert.kind],
            case=case_number(alert.study_id),
            hcode=alert.hcode,
            hospital=f"{hospital.name_th} · {hospital.name_en}",
            link=f"{self._address}/a/{row.token}",
            raised_at=alert.raised_at,
            hop=row.hop,
        )


def _settle(session: Session, line: str, outcome: _Outcome, at: datetime) -> None:
    row = session.get_one(AlertDelivery, outcome.number)
    # the alert first, as whoever withdraws it takes them
    alert = session.get_one(Alert, row.alert_id, with_for_update=True)
    session.refresh(row, with_for_update=True)
    until = at + ONE_WAITS
    if outcome.spare:
        until = circuits.note_failure(session, line, outcome.proof, at, longest=LONGEST_WAIT)
    elif outcome.state is TellState.DELIVERED:
        circuits.note_success(session, line, at)
    # what was delivered is so, also where somebody answered while it was on its way
    if outcome.state is TellState.DELIVERED or (
        outcome.state is TellState.REFUSED and row.state is TellState.WAITING
    ):
        settle_message(session, row, outcome.state, outcome.proof, at)
        if outcome.state is TellState.DELIVERED and alert.withdrawn_at and not row.corrects:
            correct_contact(session, alert, row, at)
    elif row.state is TellState.WAITING:
        row.next_at, row.proof = until, clean(outcome.proof)[:LONGEST_PROOF]
