"""Referral: a patient on the way from one hospital to another.

The sending hospital is the one where the patient is. The receiving hospital sees a referral from its request
on; when it falls through, what was asked and answered stays to be seen, the patient's study does not.
`referral_steps` has the verbs that move it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, Text, UniqueConstraint, func, select, true
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Permission, Viewer
from service.capabilities import Capability
from service.db import Base, Id, Json, UtcDateTime, locked, now, words
from service.errors import BadRequest, NotAllowed, NotFound
from service.hospitals import find_hospital
from service.referral_details import ReferralDetails
from service.referral_states import COMING, FALLEN, Reason, ReferralState, Side
from service.studies import Study

LONGEST_PAGE = 200
SIDE_PERMISSIONS: Mapping[Side, Permission] = {
    Side.SENDER: Permission.REFER,
    Side.RECEIVER: Permission.RECEIVE,
}
HERE = (ReferralState.ARRIVED, ReferralState.COMPLETED)
"""The patient is at the receiving hospital, which may refer them further."""


class Referral(Base):
    """One request to one hospital; the next hospital's is another row, which follows this one."""

    __tablename__ = "referrals"
    __table_args__ = (
        UniqueConstraint("from_hcode", "serial"),
        Index("ix_referrals_from_hcode_id", "from_hcode", "id"),
        Index("ix_referrals_to_hcode_state_id", "to_hcode", "state", "id"),
        Index("ix_referrals_state_changed_at", "state", "changed_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    follows: Mapped[int | None] = mapped_column(ForeignKey("referrals.id"))
    """The referral that fell through before this one."""
    from_hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    to_hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    serial: Mapped[str | None] = mapped_column(String(10))
    """The sending hospital's own number, from the request on."""
    state: Mapped[ReferralState] = mapped_column(words(ReferralState))
    version: Mapped[int]
    """Counts the changes, so that nobody acts on what somebody else has changed meanwhile."""
    urgency: Mapped[int]
    """As in the 43 files: 1 life-threatening, 2 emergency, 3 urgent, 4 semi-urgent, 5 non-acute."""
    needs: Mapped[list[Any]] = mapped_column(Json)
    """`Capability` words."""
    details: Mapped[dict[str, Any]] = mapped_column(Json)
    """`ReferralDetails`."""
    receiver_hn: Mapped[str] = mapped_column(String(64))
    """The patient's number at the receiving hospital, once it has said it."""
    packed_hn: Mapped[str] = mapped_column(String(64))
    """The number under which images and letter were put in line for the receiving hospital."""
    packed_object: Mapped[int] = mapped_column(Id, default=0)
    """The newest result object that was put in line with them; later ones follow."""
    reply: Mapped[str] = mapped_column(Text)
    reply_packed_at: Mapped[datetime | None]
    """When the reply letter was put in line for the sending hospital's PACS."""
    reason: Mapped[Reason | None] = mapped_column(words(Reason))
    answer_by: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def open_draft(
    session: Session,
    study: Study,
    viewer: Viewer,
    *,
    to: str,
    urgency: int,
    needs: Sequence[Capability] = (),
    details: ReferralDetails,
    follows: Referral | None = None,
) -> Referral:
    """Begin a referral; nobody but the sending hospital sees it until it is requested.

    Raises:
        BadRequest: the destination is the sender, or the urgency is out of bounds.
        NotAllowed: the patient is not at the viewer's hospital.
        NotFound: no such hospital.
    """
    again = follows is not None and viewer.sees_region
    sender = follows.from_hcode if follows and again else _sender(session, study, viewer)
    if find_hospital(session, to).hcode == sender:
        raise BadRequest(f"hospital {to} cannot refer to itself")
    if not 1 <= urgency <= 5:
        raise BadRequest(f"urgency {urgency} must be 1 (life-threatening) to 5 (non-acute)")
    referral = Referral(
        study_id=study.id,
        follows=follows.id if follows else None,
        from_hcode=sender,
        to_hcode=to,
        serial=None,
        state=ReferralState.DRAFT,
        version=1,
        urgency=urgency,
        needs=[each.value for each in dict.fromkeys(needs)],
        details=details.model_dump(mode="json"),
        receiver_hn="",
        packed_hn="",
        packed_object=0,
        reply="",
    )
    session.add(referral)
    session.flush()
    audit.record(session, viewer.username, "referral.draft", study_id=study.id, detail=audit_detail(referral))
    return referral


def find_referral(session: Session, number: int, viewer: Viewer, *, lock: bool = False) -> Referral:
    """The referral, if `viewer` may see it.

    Args:
        session: A session; a writing one with `lock`.
        number: Its row number.
        viewer: Who asks.
        lock: Whether others that would change it must wait.

    Raises:
        NotFound: otherwise.
    """
    query = select(Referral).where(Referral.id == number, seen_by(viewer))
    if referral := session.scalar(locked(query) if lock else query):
        return referral
    raise NotFound(f"no referral has the number {number}")


def list_referrals(
    session: Session,
    viewer: Viewer,
    *,
    side: Side | None = None,
    states: Collection[ReferralState] = (),
    study_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Referral]:
    """Referrals, newest first, narrowed by what is given; `side` is the viewer's hospital's."""
    query = select(Referral).where(seen_by(viewer)).order_by(Referral.id.desc())
    if side is not None and not viewer.sees_region:
        column = Referral.from_hcode if side is Side.SENDER else Referral.to_hcode
        query = query.where(column == (viewer.hcode or ""))
    if states:
        query = query.where(Referral.state.in_(states))
    if study_id is not None:
        query = query.where(Referral.study_id == study_id)
    if before is not None:
        query = query.where(Referral.id < before)
    return session.scalars(query.limit(max(1, min(limit, LONGEST_PAGE)))).all()


def seen_by(viewer: Viewer) -> ColumnElement[bool]:
    """The condition that narrows a query to the referrals that `viewer` may see."""
    if viewer.sees_region:
        return true()
    hcode = viewer.hcode or ""
    return (Referral.from_hcode == hcode) | (
        (Referral.to_hcode == hcode) & (Referral.state != ReferralState.DRAFT) & Referral.serial.is_not(None)
    )


def sides_of(referral: Referral, viewer: Viewer) -> frozenset[Side]:
    """For which hospitals of a referral the viewer may act; whoever sees the region may act for both."""
    if viewer.sees_region:
        acts = set(Side)
    else:
        hcodes = {Side.SENDER: referral.from_hcode, Side.RECEIVER: referral.to_hcode}
        acts = {side for side, hcode in hcodes.items() if hcode == viewer.hcode}
    return frozenset(side for side in acts if viewer.may(SIDE_PERMISSIONS[side]))


def shows_patient(referral: Referral, viewer: Viewer) -> bool:
    """Whether the viewer may see whom it is about: the receiving hospital not after it fell through."""
    return viewer.sees_region or viewer.hcode == referral.from_hcode or referral.state not in FALLEN


def patient_shown_to(viewer: Viewer) -> ColumnElement[bool]:
    """The condition that narrows a query to the referrals of which `shows_patient` is true."""
    if viewer.sees_region:
        return true()
    return (Referral.from_hcode == (viewer.hcode or "")) | Referral.state.not_in(FALLEN)


def details_of(referral: Referral) -> ReferralDetails:
    """What the sending doctor told."""
    return ReferralDetails.model_validate(referral.details)


def asked_before(session: Session, referral: Referral) -> list[str]:
    """The hospitals that were asked for this patient before, and this one's."""
    asked, each = [referral.to_hcode], referral
    while each.follows is not None and (earlier := session.get(Referral, each.follows)) is not None:
        asked.append(earlier.to_hcode)
        each = earlier
    return asked


def load_by_hospital(session: Session) -> dict[str, int]:
    """How many patients are asked for or on their way, by receiving hospital."""
    query = select(Referral.to_hcode, func.count()).where(Referral.state.in_(COMING))
    return {hcode: number for hcode, number in session.execute(query.group_by(Referral.to_hcode))}


def sender_hn(session: Session, referral: Referral) -> str:
    """The patient's number at the sending hospital; empty where that never told it.

    Where the patient had been referred there before, it is the number under which they were taken over.
    """
    study = session.get_one(Study, referral.study_id)
    if study.hcode == referral.from_hcode:
        return study.patient_id
    came = select(Referral.receiver_hn).where(
        Referral.study_id == study.id,
        Referral.to_hcode == referral.from_hcode,
        Referral.state.in_(HERE),
        Referral.receiver_hn != "",
    )
    return session.scalar(came.order_by(Referral.id.desc()).limit(1)) or ""


def audit_detail(referral: Referral) -> audit.Detail:
    """What the audit says of it."""
    return {"referral": referral.id, "from": referral.from_hcode, "to": referral.to_hcode}


def may_refer(session: Session, study: Study, viewer: Viewer) -> bool:
    """Whether the viewer may refer the study's patient."""
    return viewer.may(Permission.REFER) and _place_of(session, study, viewer) is not None


def _sender(session: Session, study: Study, viewer: Viewer) -> str:
    hcode = _place_of(session, study, viewer)
    if hcode is None:
        raise NotAllowed("only the hospital where the patient is refers them")
    return hcode


def _place_of(session: Session, study: Study, viewer: Viewer) -> str | None:
    """The viewer's hospital if the patient is there: it is the study's own, or has taken the patient over."""
    if viewer.sees_region and study.hcode is not None:
        return study.hcode
    hcode = viewer.hcode or ""
    came = select(Referral.id).where(
        Referral.study_id == study.id, Referral.to_hcode == hcode, Referral.state.in_(HERE)
    )
    here = study.hcode == hcode or session.scalar(came.limit(1)) is not None
    return hcode if hcode and here else None
