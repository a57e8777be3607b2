"""Circuit: whether a destination answers; one that does not is left alone for a while, ever longer.

One knock for all that waits for it: a hundred studies for a dead PACS cost one attempt at a time.
"""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.arrivals import clean
from service.db import Base, UtcDateTime

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=15)
LONGEST_ERROR = 500


class Circuit(Base):
    """What is known of one destination; open means that nothing is sent before `open_until`."""

    __tablename__ = "circuits"

    peer: Mapped[str] = mapped_column(String(60), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    """In a row."""
    open_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str] = mapped_column(Text, default="")
    last_success_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def wait_after(failures: int, longest: timedelta = LONGEST_WAIT) -> timedelta:
    """The wait after so many failures in a row: 5 s, doubled up to the longest, each up to a quarter longer.

    The quarter is drawn anew each time, so that destinations behind one broken link do not return together.
    """
    doubled = FIRST_WAIT * 2.0 ** min(max(failures - 1, 0), 16)
    return min(doubled, longest) * random.uniform(1.0, 1.25)


def circuit_of(session: Session, peer: str) -> Circuit:
    """The circuit of a destination, closed where nothing is known yet."""
    circuit = session.get(Circuit, peer)
    if circuit is None:
        circuit = Circuit(peer=peer, failures=0, last_error="")
        session.add(circuit)
        session.flush()
    return circuit


def note_success(session: Session, peer: str, at: datetime) -> None:
    """It answered: everything that waits may go."""
    circuit = circuit_of(session, peer)
    circuit.failures, circuit.open_until, circuit.last_error = 0, None, ""
    circuit.last_success_at = at


def note_failure(
    session: Session, peer: str, error: str, at: datetime, *, longest: timedelta = LONGEST_WAIT
) -> datetime:
    """It did not answer; returns when it may be tried again."""
    circuit = circuit_of(session, peer)
    circuit.failures += 1
    circuit.open_until = at + wait_after(circuit.failures, longest)
    circuit.last_error = clean(error)[:LONGEST_ERROR]
    return circuit.open_until


def close_circuit(session: Session, peer: str) -> None:
    """A person says that it may be tried at once."""
    circuit_of(session, peer).open_until = None


def list_circuits(session: Session) -> Sequence[Circuit]:
    """What is known of every destination that was ever called."""
    return session.scalars(select(Circuit).order_by(Circuit.peer)).all()


def open_circuits(session: Session, at: datetime) -> Sequence[Circuit]:
    """Destinations that are being spared at this moment, the longest-suffering first."""
    query = select(Circuit).where(Circuit.failures > 0).order_by(Circuit.failures.desc(), Circuit.peer)
    return [each for each in session.scalars(query) if each.open_until is not None and each.open_until > at]
