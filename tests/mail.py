"""A mail server on a free loopback port that keeps what it takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from tests.hub import free_port


@dataclass
class Post:
    """The server's port, what it took, and what it says to an address that it does not take."""

    port: int = 0
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    says: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        letter = message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.taken.append((envelope.rcpt_tos[0], letter))
        return f"250 2.0.0 Ok: queued as {len(self.taken):06d}"


@contextmanager
def mail_server(port: int = 0) -> Iterator[Post]:
    """Serve until the block ends."""
    post = Post()
    controller = Controller(post, hostname="127.0.0.1", port=port or free_port())
    controller.start()
    post.port = controller.port
    try:
        yield post
    finally:
        controller.stop()
