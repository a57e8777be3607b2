"""A result sent by hand: to a destination that was added later, or that lost what it had."""

from sqlalchemy.orm import Session

from service.deliveries import Delivery, Parcel, Purpose, queue_delivery, send_again
from service.errors import NotReady
from service.hospital_modes import Mode, mode_of
from service.peers import find_peer
from service.result_objects import objects_of
from service.studies import Study


def order_delivery(session: Session, study: Study, peer_name: str, actor: str) -> Delivery:
    """Have the result as it stands sent to a peer, at once, in the kinds that the peer wants.

    Args:
        session: A writing session.
        study: The study, as far as `actor` may see it.
        peer_name: To whom; of any hospital, as a person has decided so.
        actor: Who asks.

    Raises:
        NotFound: no such peer.
        NotReady: no object of a kind that the peer wants is there, or the AI only watches at the hospital.
    """
    peer = find_peer(session, peer_name)
    if mode_of(session, study.hcode) is Mode.SILENT:
        raise NotReady(f"the AI is silent at hospital {study.hcode}: nothing is pushed")
    parcels = [
        Parcel(row.sop_class_uid, row.sop_instance_uid, row.storage_key, row.kind)
        for row in objects_of(session, study)
        if row.kind in peer.objects
    ]
    if not parcels:
        wanted = ", ".join(peer.objects) or "nothing"
        raise NotReady(f"peer {peer_name!r} wants {wanted}, and of that the study has nothing")
    delivery = queue_delivery(
        session, study, peer.name, parcels, purpose=Purpose.RESULT, revision=study.revision, urgent=True
    )
    send_again(session, delivery, actor)
    return delivery
