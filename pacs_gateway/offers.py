"""What a sender offered when it opened its association: presentation contexts, PS3.8 7.1.1.13."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import UID

from pacs_gateway.proposals import ProposedContext


@dataclass(frozen=True, slots=True)
class OfferedContext:
    """One presentation context as it was proposed."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    accepted: str
    """The transfer syntax agreed; empty where the context was rejected."""

    @property
    def name(self) -> str:
        """The abstract syntax in words."""
        return UID(self.abstract_syntax).name


Offer = tuple[OfferedContext, ...]


def offer_of(proposed: Sequence[ProposedContext], agreed: Mapping[int, str]) -> Offer:
    """The contexts of an A-ASSOCIATE-RQ, with what was agreed by context id."""
    return tuple(
        OfferedContext(context.abstract_syntax, context.transfer_syntaxes, agreed.get(context.context_id, ""))
        for context in proposed
    )


def pack_offer(offer: Offer) -> str:
    """As the index keeps it."""
    rows = [[each.abstract_syntax, list(each.transfer_syntaxes), each.accepted] for each in offer]
    return json.dumps(rows, separators=(",", ":"))


def unpack_offer(text: str | None) -> Offer:
    """As it was before `pack_offer`; empty for an association whose offer was not kept."""
    return tuple(
        OfferedContext(name, tuple(syntaxes), got) for name, syntaxes, got in json.loads(text or "[]")
    )


def digest_of_offer(packed: str) -> str:
    """The name of an offer: senders make the same one every time, so that each is kept once."""
    return hashlib.sha256(packed.encode()).hexdigest()[:32]
