"""What is agreed when an association is opened: every storage class, syntaxes in our order. PS3.7 annex D."""

from collections.abc import Sequence
from typing import Any

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
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.storage_classes import is_storage
from pacs_gateway.upper_layer import INVALID_PARAMETER, MAX_PDU, ProtocolError

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


def decode_request(content: bytes) -> A_ASSOCIATE:
    """Read an A-ASSOCIATE-RQ.

    Raises:
        ProtocolError: it cannot be read.
    """
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(b"\x01\x00" + len(content).to_bytes(4, "big") + content)
        return request.to_primitive()
    except Exception as error:  # pynetdicom lets any error out that arbitrary bytes provoke
        raise ProtocolError(f"A-ASSOCIATE-RQ: {type(error).__name__}", INVALID_PARAMETER) from error


def accept(request: A_ASSOCIATE) -> tuple[bytes, dict[int, str]]:
    """Answer a request.

    Returns:
        The encoded A-ASSOCIATE-AC, and the transfer syntax agreed by presentation context id.
    """
    proposed = request.presentation_context_definition_list
    roles = {
        item.sop_class_uid: (item.scu_role, item.scp_role)
        for item in request.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid == COMMITMENT
    }
    results, selected = negotiate_as_acceptor(proposed, _supported(proposed), roles)
    answer = A_ASSOCIATE()
    answer.application_context_name = request.application_context_name
    answer.calling_ae_title = request.calling_ae_title
    answer.called_ae_title = request.called_ae_title
    answer.result = 0
    answer.result_source = 1
    answer.presentation_context_definition_results_list = results
    answer.user_information = [*user_information(), *selected]
    agreed = {
        context.context_id or 0: str(context.transfer_syntax[0]) for context in results if context.result == 0
    }
    return A_ASSOCIATE_AC(answer).encode(), agreed


def _supported(proposed: Sequence[PresentationContext]) -> list[PresentationContext]:
    classes = {str(context.abstract_syntax) for context in proposed}
    syntaxes = list(TRANSFER_SYNTAXES)
    supported = [build_context(uid, syntaxes) for uid in classes if uid == Verification or is_storage(uid)]
    notices = [build_context(uid, list(NOTICE_SYNTAXES)) for uid in classes & NOTICES]
    for context in notices:
        if context.abstract_syntax == COMMITMENT:
            # asked by its users, and told by its providers on associations that they open; PS3.4 J.3.3.1.2
            context.scu_role = context.scp_role = True
    return [*supported, *notices]


def user_information() -> list[Any]:
    length = MaximumLengthNotification()
    length.maximum_length_received = MAX_PDU
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return [length, implementation, version]


def reject(result: int, source: int, reason: int) -> bytes:
    """An encoded A-ASSOCIATE-RJ."""
    answer = A_ASSOCIATE()
    answer.result, answer.result_source, answer.diagnostic = result, source, reason
    return A_ASSOCIATE_RJ(answer).encode()
