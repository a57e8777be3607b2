"""pynetdicom's acceptor, as the measure for ours: the same request, decoded, judged and answered by it."""

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context, negotiate_as_acceptor

from pacs_gateway.negotiation import COMMITMENT, NOTICE_SYNTAXES, NOTICES, TRANSFER_SYNTAXES, VERIFICATION
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.storage_classes import is_storage
from pacs_gateway.upper_layer import MAX_PDU

Roles = dict[str, tuple[bool, bool]]


def request(
    contexts: list[tuple[str, list[str]]],
    roles: Roles | None = None,
    *,
    called: str = "HUB",
    most: int = 16384,
) -> bytes:
    """The content of an A-ASSOCIATE-RQ by pynetdicom; contexts get the numbers 1, 3, 5, ..."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLER", "HUB"
    proposed = []
    for number, (abstract, transfer) in enumerate(contexts):
        context = build_context(abstract, transfer)
        context.context_id = 2 * number + 1
        proposed.append(context)
    primitive.presentation_context_definition_list = proposed
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = most, "1.2.3.4"
    primitive.user_information = [
        length,
        implementation,
        *(_role(uid, *each) for uid, each in (roles or {}).items()),
    ]
    return bytes(A_ASSOCIATE_RQ(primitive).encode()[6:])


def _role(uid: str, user: bool, provider: bool) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = uid, user, provider
    return role


def answer(content: bytes) -> tuple[bytes, dict[int, str]]:
    """The A-ASSOCIATE-AC that pynetdicom makes of it with what we support, and what is agreed."""
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(b"\x01\x00" + len(content).to_bytes(4, "big") + content)
    asked = pdu.to_primitive()
    proposed = asked.presentation_context_definition_list
    roles = {
        item.sop_class_uid: (item.scu_role, item.scp_role)
        for item in asked.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid == COMMITMENT
    }
    results, selected = negotiate_as_acceptor(
        proposed, _supported({str(c.abstract_syntax) for c in proposed}), roles
    )
    primitive = A_ASSOCIATE()
    primitive.application_context_name = asked.application_context_name
    primitive.calling_ae_title, primitive.called_ae_title = asked.calling_ae_title, asked.called_ae_title
    primitive.result, primitive.result_source = 0, 1
    primitive.presentation_context_definition_results_list = results
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = MAX_PDU
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, implementation, version, *selected]
    agreed = {c.context_id or 0: str(c.transfer_syntax[0]) for c in results if c.result == 0}
    return bytes(A_ASSOCIATE_AC(primitive).encode()), agreed


def _supported(classes: set[str]) -> list[object]:
    stored = [
        build_context(uid, list(TRANSFER_SYNTAXES))
        for uid in classes
        if uid == VERIFICATION or is_storage(uid)
    ]
    notices = [build_context(uid, list(NOTICE_SYNTAXES)) for uid in classes & NOTICES]
    for context in notices:
        if context.abstract_syntax == COMMITMENT:
            context.scu_role = context.scp_role = True
    return [*stored, *notices]
