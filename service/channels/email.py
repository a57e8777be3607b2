"""E-mail: an alert by SMTP, one connection for each message. RFC 5321."""

import contextlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum

from service.channels.message import Destination, Later, Message, Refused, Unreachable

ANSWER_SECONDS = 10.0


class Security(StrEnum):
    """How the connection to the server is secured."""

    STARTTLS = "starttls"
    TLS = "tls"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Server:
    """The hospital region's mail server."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    security: Security = Security.STARTTLS


class Email:
    """The channel."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def send(self, message: Message, to: Destination) -> str:
        """Send it; the proof is what the server said when it took it."""
        letter = self._letter(message, to.address)
        try:
            connection = self._connect()
            try:
                return self._hand_over(connection, letter, to.address)
            finally:
                _leave(connection)
        except OSError as error:  # every error of smtplib is one
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        here = self._server
        if here.security is Security.TLS:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                here.host, here.port, timeout=ANSWER_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = smtplib.SMTP(here.host, here.port, timeout=ANSWER_SECONDS)
        try:
            if here.security is Security.STARTTLS:
                connection.starttls(context=ssl.create_default_context())
            if here.user:
                connection.login(here.user, here.password)
        except OSError:
            connection.close()
            raise
        return connection

    def _hand_over(self, connection: smtplib.SMTP, letter: EmailMessage, address: str) -> str:
        """Envelope and content by hand, because `send_message` does not tell what the server said."""
        connection.ehlo_or_helo_if_needed()
        for code, said in (connection.mail(self._server.sender), connection.rcpt(address)):
            if code >= 400:
                _refuse(code, said)
        code, said = connection.data(letter.as_bytes(policy=SMTP))
        if code >= 400:
            _refuse(code, said)
        return f"{code} {said.decode('utf-8', 'replace')}"

    def _letter(self, message: Message, address: str) -> EmailMessage:
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self._server.sender, address, message.subject
        letter["Date"] = format_datetime(message.raised_at)
        # the same for a message sent twice, so that a mail server or reader can tell
        letter["Message-ID"] = (
            f"<alert-{message.alert}-{message.number}@{self._server.sender.partition('@')[2]}>"
        )
        letter["Auto-Submitted"] = "auto-generated"
        letter["X-Priority"] = "1"
        letter.set_content(message.text, charset="utf-8", cte="base64")
        return letter


def _leave(connection: smtplib.SMTP) -> None:
    """Say goodbye; what was taken stays taken, however the server answers that."""
    with contextlib.suppress(OSError):
        connection.quit()
    connection.close()


def _refuse(code: int, said: bytes) -> None:
    text = f"{code} {said.decode('utf-8', 'replace')}"
    if code == 421:
        raise Unreachable(text)
    raise Refused(text) if code >= 500 else Later(text)
