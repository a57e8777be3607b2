"""ReferralStep: a verb carried out on a referral: by whom, when, and what they said.

Every verb locks the referral's row first, checks who acts, in which state it is and whether it is still what
they saw: of two at once one wins and the other is told so.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer
from service.arrivals import clean
from service.capabilities import Capability
from service.db import Base, Id, UtcDateTime, now, words
from service.errors import AlreadyReferred, BadRequest, Changed, NotAllowed
from service.grants import Because, end_grants, grant_study
from service.milestones import Milestone
from service.referral_alerts import tell_step
from service.referral_serials import next_serial
from service.referral_states import (
    COMING,
    FALLEN,
    MOVES,
    REASONS,
    Reason,
    ReferralState,
    Side,
    Verb,
    check_move,
)
from service.referrals import Referral, audit_detail, details_of, open_draft, sides_of
from service.reply_drafts import LONGEST_REPLY, forget_draft
from service.studies import Study, load_study
from service.typed_times import note_told

ANSWER_WITHIN = timedelta(minutes=15)
"""From request to acceptance or rejection. Standards 4.5."""
LONGEST_TEXT = 4000
LONGEST_HN = 64
"""VR LO. PS3.5 6.2."""


class ReferralStep(Base):
    """One verb that was carried out: by whom, when, and what they said."""

    __tablename__ = "referral_steps"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    referral_id: Mapped[int] = mapped_column(ForeignKey("referrals.id"), index=True)
    verb: Mapped[Verb] = mapped_column(words(Verb))
    by: Mapped[str] = mapped_column(String(100))
    reason: Mapped[Reason | None] = mapped_column(words(Reason))
    note: Mapped[str] = mapped_column(Text)
    brought: Mapped[bool] = mapped_column(default=False)
    """A neighbour hub told it: it was done there."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def request_referral(session: Session, referral: Referral, viewer: Viewer, *, version: int | None) -> None:
    """Ask the receiving hospital, which sees the study from now on; the referral gets its number.

    Raises:
        AlreadyReferred: the patient is already on the way somewhere, or asked for.
        BadRequest: it does not say what is asked for, or who asks.
    """
    # locked: of two requests for one patient the second sees the first
    study = load_study(session, referral.study_id)
    other = session.scalar(
        select(Referral).where(
            Referral.study_id == referral.study_id, Referral.state.in_(COMING), Referral.id != referral.id
        )
    )
    if other is not None:
        raise AlreadyReferred(f"the patient is already referred to {other.to_hcode}: {other.state.value}")
    details = details_of(referral)
    for name in ("diagnosis", "request", "doctor"):
        if not getattr(details, name):
            raise BadRequest(f"a referral needs {name!r} before it is requested")
    _move(session, referral, viewer, Verb.REQUEST, version=version)
    moment = referral.changed_at
    referral.serial = next_serial(session, referral.from_hcode, moment)
    referral.answer_by = moment + ANSWER_WITHIN
    if referral.to_hcode != study.hcode:
        grant_study(
            session,
            referral.study_id,
            referral.to_hcode,
            because=Because.REFERRAL,
            subject=referral.id,
            actor=viewer.username,
        )
    _note(session, referral, viewer, Verb.REQUEST)
    times = {Milestone.ONSET: details.onset_at, Milestone.LAST_KNOWN_WELL: details.last_known_well_at}
    note_told(session, study, viewer, times)


def follow_referral(session: Session, referral: Referral, viewer: Viewer, *, to: str) -> Referral:
    """Ask the next hospital in the same words, once this one fell through.

    Raises:
        AlreadyReferred: it has not fallen through, or another hospital is asked already.
    """
    if referral.state not in FALLEN:
        raise AlreadyReferred(
            f"the referral to {referral.to_hcode} is {referral.state.value}: it must end first"
        )
    following = open_draft(
        session,
        session.get_one(Study, referral.study_id),
        viewer,
        to=to,
        urgency=referral.urgency,
        needs=[Capability(each) for each in referral.needs],
        details=details_of(referral),
        follows=referral,
    )
    request_referral(session, following, viewer, version=None)
    return following


def open_referral(session: Session, referral: Referral, viewer: Viewer) -> None:
    """Note that somebody at the receiving hospital has opened it; only the first one changes anything."""
    # whoever sees the whole region looks over everybody's shoulder: that is no answer from the hospital
    acts = Side.RECEIVER in sides_of(referral, viewer) and not viewer.sees_region
    if referral.state is ReferralState.REQUESTED and acts:
        _move(session, referral, viewer, Verb.RECEIVE, version=None)
        _note(session, referral, viewer, Verb.RECEIVE)


def accept_referral(
    session: Session, referral: Referral, viewer: Viewer, *, hn: str = "", note: str = "", version: int | None
) -> None:
    """Take the patient; images and letter follow as soon as the patient's number here is known."""
    _move(session, referral, viewer, Verb.ACCEPT, version=version, note=note)
    study = session.get_one(Study, referral.study_id)
    if study.hcode is None:
        # it came from a neighbour hub without images: from now on the patient is this hospital's
        study.hcode = referral.to_hcode
    if hn:
        referral.receiver_hn = check_hn(hn)
    _note(session, referral, viewer, Verb.ACCEPT)


def identify_patient(session: Session, referral: Referral, viewer: Viewer, hn: str) -> None:
    """Say, or correct, the patient's number at the receiving hospital.

    Raises:
        BadRequest: it is no number that DICOM takes, or the referral has not been accepted.
        NotAllowed: the viewer does not act for the receiving hospital.
    """
    _check_side(referral, viewer, frozenset({Side.RECEIVER}))
    taken = (ReferralState.ACCEPTED, ReferralState.DEPARTED, ReferralState.ARRIVED, ReferralState.COMPLETED)
    if referral.state not in taken:
        raise BadRequest(f"a referral that is {referral.state.value} has no patient here yet")
    if (checked := check_hn(hn)) != referral.receiver_hn:
        referral.receiver_hn, referral.changed_at = checked, now()
        referral.version += 1
        _note(session, referral, viewer, None)


def complete_referral(
    session: Session, referral: Referral, viewer: Viewer, *, reply: str, version: int | None
) -> None:
    """End it with the reply letter to the sending hospital.

    Raises:
        BadRequest: the reply is empty or too long.
    """
    reply = clean(reply).strip()
    if not 1 <= len(reply) <= LONGEST_REPLY:
        raise BadRequest(f"a reply of {len(reply)} characters; it must have 1 to {LONGEST_REPLY}")
    _move(session, referral, viewer, Verb.COMPLETE, version=version)
    referral.reply = reply
    forget_draft(session, referral)
    _note(session, referral, viewer, Verb.COMPLETE)


def move_referral(
    session: Session,
    referral: Referral,
    viewer: Viewer,
    verb: Verb,
    *,
    reason: Reason | None = None,
    note: str = "",
    version: int | None,
) -> None:
    """Receive, reject, depart, arrive, cancel or fail; a patient who is not taken over is no longer shown.

    Raises:
        BadRequest: the reason is missing, not one of this verb's, or needs words.
    """
    assert verb not in (Verb.REQUEST, Verb.ACCEPT, Verb.COMPLETE), verb
    _check_reason(verb, reason, note)
    _move(session, referral, viewer, verb, version=version, reason=reason, note=note)
    if referral.state in FALLEN:
        end_grants(session, because=Because.REFERRAL, subject=referral.id, actor=viewer.username)
    _note(session, referral, viewer, verb)


def steps_of(session: Session, referral: Referral) -> Sequence[ReferralStep]:
    """What was done to it, oldest first."""
    query = select(ReferralStep).where(ReferralStep.referral_id == referral.id).order_by(ReferralStep.id)
    return session.scalars(query).all()


def last_contact(session: Session, username: str) -> Mapping[str, str]:
    """Name, licence and telephone of this person as in their last request; empty before the first."""
    last = session.scalar(
        select(Referral)
        .join(ReferralStep, ReferralStep.referral_id == Referral.id)
        .where(ReferralStep.by == username, ReferralStep.verb == Verb.REQUEST)
        .order_by(ReferralStep.id.desc())
        .limit(1)
    )
    told = last.details if last else {}
    return {name: told.get(name, "") for name in ("doctor", "licence", "telephone")}


def check_hn(text: str) -> str:
    """A patient's number at a hospital, as DICOM takes it.

    Raises:
        BadRequest: it is empty, too long, or has signs that DICOM gives a meaning. The text is not repeated.
    """
    hn = clean(text).strip()
    if not 1 <= len(hn) <= LONGEST_HN or "\\" in hn or not hn.isprintable() or not hn.isascii():
        raise BadRequest(f"an HN must have 1 to {LONGEST_HN} printable ASCII characters and no backslash")
    return hn


def _check_reason(verb: Verb, reason: Reason | None, note: str) -> None:
    legal = REASONS.get(verb, ())
    if reason is None and not legal:
        return
    if reason not in legal:
        given = reason.value if reason else "nothing"
        raise BadRequest(f"{verb.value} because of {given}; it must be one of {', '.join(legal)}")
    if reason is Reason.OTHER and not note.strip():
        raise BadRequest(f"{verb.value} because of 'other' needs words")


def _check_side(referral: Referral, viewer: Viewer, sides: frozenset[Side]) -> None:
    if not sides & sides_of(referral, viewer):
        who = " or ".join(sorted(sides))
        raise NotAllowed(f"only the {who} of the referral does this")


def _move(
    session: Session,
    referral: Referral,
    viewer: Viewer,
    verb: Verb,
    *,
    version: int | None,
    reason: Reason | None = None,
    note: str = "",
) -> None:
    session.refresh(referral, with_for_update=True)
    _check_side(referral, viewer, MOVES[verb].sides)
    if version is not None and version != referral.version:
        state, present = referral.state.value, referral.version
        raise Changed(f"the referral is {state} now (version {present}); you saw version {version}")
    note = clean(note).strip()
    if len(note) > LONGEST_TEXT:
        raise BadRequest(f"a note of {len(note)} characters; it may have {LONGEST_TEXT}")
    referral.state = check_move(referral.state, verb)
    referral.version += 1
    referral.reason, referral.changed_at = reason, now()
    session.add(
        ReferralStep(
            referral_id=referral.id,
            verb=verb,
            by=viewer.username,
            reason=reason,
            note=note,
            at=referral.changed_at,
        )
    )
    session.flush()


def _note(session: Session, referral: Referral, viewer: Viewer, verb: Verb | None) -> None:
    if verb is not None:
        tell_step(session, referral, verb, viewer)
    audit.record(
        session,
        viewer.username,
        f"referral.{referral.state.value}" if verb else "referral.identified",
        study_id=referral.study_id,
        detail=audit_detail(referral),
    )
