"""Fence: which addresses the hub may post to when somebody other than an administrator names them.

Without it a subscription would be a way to make the hub call machines that only the hub can reach. Outside
the networks that the hub's settings open, only https to public addresses goes. A name is looked up at each
posting, and the posting goes to the machine that was checked, so that the name cannot mean another then.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from service.channels.message import Refused, Unreachable

Address = IPv4Address | IPv6Address
LONGEST = 500
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Opened:
    """An address that was checked."""

    url: str
    """With the number of the machine in place of its name."""
    host: str
    """As a Host header has it."""
    name: str
    """Whose certificate is wanted."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The networks in which any address may be called, by http too."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def check(self, address: str) -> None:
        """See whether an address could be let through, without looking a name up.

        Raises:
            Refused: not https without a network that is open, no host, or a number outside the fence.
        """
        parts = _split(address)
        if parts.scheme == "http" and not self.networks:
            raise Refused("only https is called, as no network is open to http (HUB_SUBSCRIPTION_NETWORKS)")
        if (number := _number(parts.hostname or "")) is not None and not self._lets(parts.scheme, number):
            raise Refused(f"{number} is outside what subscriptions may reach (HUB_SUBSCRIPTION_NETWORKS)")

    def open(self, address: str) -> Opened:
        """Look the name up, and give the address to call.

        Raises:
            Refused: it is no name, or none of its machines is inside.
            Unreachable: the name leads nowhere.
        """
        self.check(address)
        parts = _split(address)
        name = parts.hostname or ""
        try:
            found = _look_up(name, parts.port or PORTS[parts.scheme])
        except UnicodeError as error:
            raise Refused(f"{name[:80]!r} is no name of a machine: {error}") from error
        except OSError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        inside = next((each for each in found if self._lets(parts.scheme, each)), None)
        if inside is None:
            raise Refused(f"{name} is outside what subscriptions may reach (HUB_SUBSCRIPTION_NETWORKS)")
        number = f"[{inside}]" if isinstance(inside, IPv6Address) else str(inside)
        port = f":{parts.port}" if parts.port else ""
        return Opened(url=parts._replace(netloc=f"{number}{port}").geturl(), host=parts.netloc, name=name)

    def _lets(self, scheme: str, number: Address) -> bool:
        plain = getattr(number, "ipv4_mapped", None) or number
        if any(plain in network for network in self.networks):
            return True
        return scheme == "https" and plain.is_global and not plain.is_multicast


def read_fence(text: str) -> Fence:
    """The fence of networks parted by commas, such as 10.8.0.0/16.

    Raises:
        ValueError: one is no network.
    """
    return Fence(tuple(ip_network(each.strip()) for each in text.split(",") if each.strip()))


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        known = parts.scheme in PORTS and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or len(address) > LONGEST or not address.isascii() or not address.isprintable():
        raise Refused(f"{address[:80]!r} is no http(s) address of at most {LONGEST} characters")
    if " " in address or parts.username is not None or parts.fragment:
        raise Refused("an address holds no space, no name and password, and no fragment")
    return parts


def _number(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _look_up(name: str, port: int) -> Sequence[Address]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [ip_address(str(where[0]).partition("%")[0]) for *_, where in found]
