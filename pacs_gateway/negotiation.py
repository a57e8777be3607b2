"""What is agreed when an association is opened: every storage class, syntaxes in our order. PS3.7 annex D.

The rules and the bytes are those of pynetdicom's acceptor, which the tests compare with; its objects take
40 ms of processor time for the 128 contexts that dcmtk proposes.
"""

from functools import lru_cache
from struct import pack

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.proposals import (
    APPLICATION_CONTEXT,
    MAXIMUM_LENGTH,
    ROLE_SELECTION,
    TRANSFER_SYNTAX,
    USER_INFORMATION,
    Proposal,
    ProposedContext,
)
from pacs_gateway.storage_classes import is_storage
from pacs_gateway.upper_layer import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, MAX_PDU

JPEG_XL = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112")
DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"
TRANSFER_SYNTAXES: tuple[str, ...] = (
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
    RLELossless,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    *JPEG_XL,
    DEFLATED_IMAGE_FRAME,
)
"""The acceptor's order decides: what keeps the value representations first, what loses pixels late."""

COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
MPPS = "1.2.840.10008.3.1.2.3.3"
IAN = "1.2.840.10008.5.1.4.33"
NOTICES = frozenset({COMMITMENT, MPPS, IAN})
NOTICE_SYNTAXES: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)

# A-ASSOCIATE-RJ - PS3.8 table 9-21: result, source, reason
CALLING_AE_NOT_RECOGNISED = (1, 1, 3)
CALLED_AE_NOT_RECOGNISED = (1, 1, 7)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


VERIFICATION = "1.2.840.10008.1.1"

# Results for a presentation context - PS3.8 table 9-18
ACCEPTANCE, USER_REJECTION, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 1, 3, 4
CONTEXT_RESULT, IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION = 0x21, 0x52, 0x55
PROTOCOL_VERSION = 1


def accept(proposal: Proposal) -> tuple[bytes, dict[int, str]]:
    """Answer a request.

    Returns:
        The encoded A-ASSOCIATE-AC, and the transfer syntax agreed by presentation context id.
    """
    results = [(context, *_judge(context, proposal)) for context in proposal.contexts]
    agreed = {context.context_id: syntax for context, result, syntax in results if result == ACCEPTANCE}
    items = [
        _result_item(context.context_id, result, syntax)
        for context, result, syntax in sorted(results, key=lambda each: each[0].context_id)
    ]
    titles = pack(">16s16s", _padded(proposal.called_ae), _padded(proposal.calling_ae))
    body = b"".join(
        (
            pack(">H2x", PROTOCOL_VERSION) + titles + bytes(32),
            _item(APPLICATION_CONTEXT, proposal.application_context_name.encode()),
            *items,
            _item(USER_INFORMATION, _user_information(_roles_answered(proposal, agreed))),
        )
    )
    return pack(">BxI", A_ASSOCIATE_AC, len(body)) + body, agreed


def _judge(context: ProposedContext, proposal: Proposal) -> tuple[int, str]:
    """The result for one context, and the transfer syntax to say it with."""
    ours = _syntaxes_of(context.abstract_syntax)
    if not ours:
        return NO_ABSTRACT_SYNTAX, context.transfer_syntaxes[0]
    chosen = next((syntax for syntax in ours if syntax in context.transfer_syntaxes), None)
    if chosen is None:
        return NO_TRANSFER_SYNTAX, context.transfer_syntaxes[0]
    if context.abstract_syntax == COMMITMENT and proposal.roles.get(COMMITMENT) == (False, False):
        return USER_REJECTION, chosen
    return ACCEPTANCE, chosen


@lru_cache(maxsize=1024)
def _syntaxes_of(abstract_syntax: str) -> tuple[str, ...]:
    if abstract_syntax in NOTICES:
        return NOTICE_SYNTAXES
    known = abstract_syntax == VERIFICATION or is_storage(abstract_syntax)
    return TRANSFER_SYNTAXES if known else ()


def _roles_answered(proposal: Proposal, agreed: dict[int, str]) -> bytes:
    """Commitment alone is taken in either role.

    It is asked by its users, and told by its providers on associations that they open. PS3.4 J.3.3.1.2.
    """
    roles = proposal.roles.get(COMMITMENT)
    if roles is None or not any(
        context.abstract_syntax == COMMITMENT and context.context_id in agreed
        for context in proposal.contexts
    ):
        return b""
    uid = COMMITMENT.encode()
    return _item(ROLE_SELECTION, pack(">H", len(uid)) + uid + bytes(roles))


def _user_information(roles: bytes) -> bytes:
    return b"".join(
        (
            _item(MAXIMUM_LENGTH, pack(">I", MAX_PDU)),
            _item(IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID.encode()),
            _item(IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME.encode()),
            roles,
        )
    )


def _result_item(context_id: int, result: int, syntax: str) -> bytes:
    return _item(CONTEXT_RESULT, pack(">BxBx", context_id, result) + _item(TRANSFER_SYNTAX, syntax.encode()))


def _item(kind: int, content: bytes) -> bytes:
    return pack(">BxH", kind, len(content)) + content


def _padded(title: str) -> bytes:
    return title.encode("ascii").ljust(16)


def reject(result: int, source: int, reason: int) -> bytes:
    """An encoded A-ASSOCIATE-RJ."""
    return pack(">BxIxBBB", A_ASSOCIATE_RJ, 4, result, source, reason)
