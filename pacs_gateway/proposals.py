"""An A-ASSOCIATE-RQ as it came: who calls whom, and what is proposed. PS3.8 9.3.2 and annex D, PS3.7 annex D.

dcmtk proposes 128 presentation contexts; pynetdicom makes validated objects of them and takes 20 ms for it,
as long as ten images do, while every other association waits for the interpreter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from pacs_gateway.upper_layer import INVALID_PARAMETER, ProtocolError

# Item types - PS3.8 9.3.2 and annex D.1, PS3.7 annex D.3.3
APPLICATION_CONTEXT, PRESENTATION_CONTEXT, USER_INFORMATION = 0x10, 0x20, 0x50
ABSTRACT_SYNTAX, TRANSFER_SYNTAX = 0x30, 0x40
MAXIMUM_LENGTH, ROLE_SELECTION = 0x51, 0x54

FIXED_FIELDS = 68
LONGEST_UID = 64
"""PS3.5 section 9.1."""

_TITLES = Struct(">4x16s16s").unpack_from
_ITEM = Struct(">BxH").unpack_from
_ROLE = Struct(">BB").unpack_from
_NUMBER = Struct(">I").unpack_from
_LENGTH = Struct(">H").unpack_from


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context as it was proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    """In the requestor's order; at least one."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request to open an association."""

    called_ae: str
    calling_ae: str
    application_context_name: str
    contexts: tuple[ProposedContext, ...]
    maximum_length: int
    """Of a P-DATA-TF that the requestor takes, bytes; 0 for any."""
    roles: dict[str, tuple[bool, bool]]
    """By SOP class: whether the requestor wants to be its user, and its provider."""


def decode_proposal(content: bytes) -> Proposal:
    """Read the content of an A-ASSOCIATE-RQ; items of unknown types are passed over (PS3.8 9.3.1).

    Raises:
        ProtocolError: it is not one.
    """
    if len(content) < FIXED_FIELDS:
        raise _broken(f"{len(content)} bytes are none")
    called, calling = _TITLES(content)
    application, maximum_length = "", 0
    contexts: list[ProposedContext] = []
    roles: dict[str, tuple[bool, bool]] = {}
    for kind, item in _items(content[FIXED_FIELDS:]):
        if kind == PRESENTATION_CONTEXT:
            contexts.append(_context(item))
        elif kind == APPLICATION_CONTEXT:
            application = _uid(item)
        elif kind == USER_INFORMATION:
            maximum_length = _user_information(item, roles)
    return Proposal(
        _title(called, "called"),
        _title(calling, "calling"),
        application,
        tuple(contexts),
        maximum_length,
        roles,
    )


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    position, end = 0, len(content)
    while position < end:
        if position + 4 > end:
            raise _broken("an item is cut off in its header")
        kind, length = _ITEM(content, position)
        following = position + 4 + length
        if following > end:
            raise _broken(f"an item of {length} bytes, {end - position - 4} are there")
        yield kind, content[position + 4 : following]
        position = following


def _context(item: bytes) -> ProposedContext:
    if len(item) < 4 or not item[0] % 2:
        raise _broken("a presentation context without an odd number")
    abstract, transfer = "", []
    for kind, value in _items(item[4:]):
        if kind == ABSTRACT_SYNTAX:
            abstract = _uid(value)
        elif kind == TRANSFER_SYNTAX:
            transfer.append(_uid(value))
    if not abstract or not transfer:
        raise _broken(f"presentation context {item[0]} lacks its abstract or transfer syntax")
    return ProposedContext(item[0], abstract, tuple(transfer))


def _user_information(item: bytes, roles: dict[str, tuple[bool, bool]]) -> int:
    """Add the roles asked for; the maximum length."""
    maximum_length = 0
    for kind, value in _items(item):
        if kind == MAXIMUM_LENGTH:
            if len(value) != 4:
                raise _broken(f"a maximum length of {len(value)} bytes")
            maximum_length = _NUMBER(value)[0]
        elif kind == ROLE_SELECTION:
            if len(value) < 4 or (length := _LENGTH(value)[0]) + 4 != len(value):
                raise _broken("a role selection of the wrong length")
            user, provider = _ROLE(value, 2 + length)
            roles[_uid(value[2 : 2 + length])] = bool(user), bool(provider)
    return maximum_length


def _title(value: bytes, which: str) -> str:
    title = value.decode("ascii", "replace").strip("\0 ")
    if not title or not title.isascii() or not title.isprintable() or "\\" in title:
        raise _broken(f"no {which} AE title")
    return title


def _uid(value: bytes) -> str:
    uid = value.rstrip(b"\0 ")
    if len(uid) > LONGEST_UID or not uid.isascii():
        raise _broken(f"a UID of {len(uid)} bytes, the limit is {LONGEST_UID}")
    return uid.decode("ascii")


def _broken(why: str) -> ProtocolError:
    return ProtocolError(f"A-ASSOCIATE-RQ: {why}", INVALID_PARAMETER)
