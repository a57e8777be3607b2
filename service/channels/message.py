"""Message: what an alert says to whoever it reaches, and what every channel is.

It says what happened, the case number, the hospital and a link; never anything of a patient.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one contact."""

    number: int
    """The delivery's: the same message sent twice has the same."""
    alert: int
    kind: str
    titles: tuple[str, ...]
    """What happened, in Thai and in English."""
    case: str
    """The case number."""
    hcode: str
    hospital: str
    """Its name in Thai and in English."""
    link: str
    raised_at: datetime
    hop: int

    @property
    def subject(self) -> str:
        """One line."""
        return f"{self.titles[0]} · {self.case} · {self.hcode}"

    @property
    def text(self) -> str:
        """A few short lines in both languages, as a telephone shows them."""
        return "\n".join([*self.titles, f"{self.case} · {self.hospital} ({self.hcode})", self.link])


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one message goes."""

    address: str
    secret: str = ""


class Unreachable(Exception):
    """The channel's server does not answer or takes nothing now: everything that waits for it must wait."""


class Later(Exception):
    """The server does not take this message now; others may go."""


class Refused(Exception):
    """The server will never take this message; `status` is its HTTP status, if it has one."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Channel(Protocol):
    """A way to bring a message to a contact."""

    def send(self, message: Message, to: Destination) -> str:
        """Bring it there, and return what the other side said as proof.

        Raises:
            Unreachable, Later, Refused: it did not take it.
        """
        ...
