"""The closed words of a referral: its states, who may move it from one to another, and why it may not go on.

The states are those of a FHIR Task, one Task a referral (standards: Task.status, Std15 businessStatus).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from service.errors import IllegalTransition


class ReferralState(StrEnum):
    """Where a referral stands; every referral ends in rejected, completed, cancelled or failed."""

    DRAFT = "draft"
    REQUESTED = "requested"
    RECEIVED = "received"
    """Somebody at the receiving hospital has opened it."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEPARTED = "departed"
    ARRIVED = "arrived"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Side(StrEnum):
    """Which hospital of a referral somebody acts for."""

    SENDER = "sender"
    RECEIVER = "receiver"


class Verb(StrEnum):
    """What is done to a referral."""

    REQUEST = "request"
    RECEIVE = "receive"
    ACCEPT = "accept"
    REJECT = "reject"
    DEPART = "depart"
    ARRIVE = "arrive"
    COMPLETE = "complete"
    CANCEL = "cancel"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Move:
    """What a verb does: from which states, to which, and by whom."""

    sources: frozenset[ReferralState]
    target: ReferralState
    sides: frozenset[Side]


def _move(*sources: ReferralState, to: ReferralState, by: tuple[Side, ...]) -> Move:
    return Move(frozenset(sources), to, frozenset(by))


_S, _SENDER, _RECEIVER = ReferralState, (Side.SENDER,), (Side.RECEIVER,)

MOVES: Mapping[Verb, Move] = MappingProxyType(
    {
        Verb.REQUEST: _move(_S.DRAFT, to=_S.REQUESTED, by=_SENDER),
        Verb.RECEIVE: _move(_S.REQUESTED, to=_S.RECEIVED, by=_RECEIVER),
        Verb.ACCEPT: _move(_S.REQUESTED, _S.RECEIVED, to=_S.ACCEPTED, by=_RECEIVER),
        Verb.REJECT: _move(_S.REQUESTED, _S.RECEIVED, to=_S.REJECTED, by=_RECEIVER),
        Verb.DEPART: _move(_S.ACCEPTED, to=_S.DEPARTED, by=_SENDER),
        # an ambulance may be there before anybody has said that it left
        Verb.ARRIVE: _move(_S.ACCEPTED, _S.DEPARTED, to=_S.ARRIVED, by=_RECEIVER),
        Verb.COMPLETE: _move(_S.ARRIVED, to=_S.COMPLETED, by=_RECEIVER),
        Verb.CANCEL: _move(_S.DRAFT, _S.REQUESTED, _S.RECEIVED, _S.ACCEPTED, to=_S.CANCELLED, by=_SENDER),
        Verb.FAIL: _move(_S.ACCEPTED, _S.DEPARTED, to=_S.FAILED, by=(*_SENDER, *_RECEIVER)),
    }
)
"""The only ways; `docs/referrals.md` shows them as a table."""

ENDED = frozenset({_S.REJECTED, _S.COMPLETED, _S.CANCELLED, _S.FAILED})
FALLEN = frozenset({_S.REJECTED, _S.CANCELLED, _S.FAILED})
"""Ended without the patient having been taken over; the next hospital may be asked."""
COMING = frozenset({_S.REQUESTED, _S.RECEIVED, _S.ACCEPTED, _S.DEPARTED})
"""What the receiving hospital has still to deal with: its load."""

TASK_STATUS: Mapping[ReferralState, str] = MappingProxyType(
    {
        _S.DRAFT: "draft",
        _S.REQUESTED: "requested",
        _S.RECEIVED: "received",
        _S.ACCEPTED: "accepted",
        _S.REJECTED: "rejected",
        _S.DEPARTED: "in-progress",
        _S.ARRIVED: "in-progress",
        _S.COMPLETED: "completed",
        _S.CANCELLED: "cancelled",
        _S.FAILED: "failed",
    }
)
"""FHIR R4 Task.status."""

BUSINESS_STATUS: Mapping[ReferralState, str] = MappingProxyType(
    {
        _S.REQUESTED: "P",
        _S.RECEIVED: "P",
        _S.ACCEPTED: "A",
        _S.REJECTED: "R",
        _S.DEPARTED: "A",
        _S.ARRIVED: "A",
        _S.COMPLETED: "F",
        _S.CANCELLED: "C",
        _S.FAILED: "E",
    }
)
"""Task.businessStatus, in the words of Std15's refer status; a draft has none."""


class Reason(StrEnum):
    """Why a referral went no further; the words for people are `reason.*` of the text files."""

    NO_BED = "no_bed"
    NO_ICU_BED = "no_icu_bed"
    NO_SPECIALIST = "no_specialist"
    NO_OPERATING_ROOM = "no_operating_room"
    EQUIPMENT_DOWN = "equipment_down"
    NOT_INDICATED = "not_indicated"
    """The patient can be treated where they are."""
    TOO_LATE = "too_late"
    """Outside the window of the treatment asked for."""
    TOO_UNSTABLE = "too_unstable"
    ANOTHER_HOSPITAL = "another_hospital"
    """Another hospital is better placed."""
    PATIENT_REFUSED = "patient_refused"
    PATIENT_DIED = "patient_died"
    PATIENT_IMPROVED = "patient_improved"
    SENT_IN_ERROR = "sent_in_error"
    NO_ANSWER = "no_answer"
    DIED_IN_TRANSIT = "died_in_transit"
    DID_NOT_ARRIVE = "did_not_arrive"
    TURNED_BACK = "turned_back"
    OTHER = "other"
    """Needs words of its own."""


_R = Reason

REASONS: Mapping[Verb, tuple[Reason, ...]] = MappingProxyType(
    {
        Verb.REJECT: (
            _R.NO_BED,
            _R.NO_ICU_BED,
            _R.NO_SPECIALIST,
            _R.NO_OPERATING_ROOM,
            _R.EQUIPMENT_DOWN,
            _R.NOT_INDICATED,
            _R.TOO_LATE,
            _R.TOO_UNSTABLE,
            _R.ANOTHER_HOSPITAL,
            _R.OTHER,
        ),
        Verb.CANCEL: (
            _R.NO_ANSWER,
            _R.ANOTHER_HOSPITAL,
            _R.PATIENT_REFUSED,
            _R.PATIENT_DIED,
            _R.PATIENT_IMPROVED,
            _R.TOO_UNSTABLE,
            _R.SENT_IN_ERROR,
            _R.OTHER,
        ),
        Verb.FAIL: (_R.DIED_IN_TRANSIT, _R.DID_NOT_ARRIVE, _R.TURNED_BACK, _R.OTHER),
    }
)
"""Which reasons a verb takes; the verbs that are not here take none."""


def check_move(current: ReferralState, verb: Verb) -> ReferralState:
    """The state that `verb` leads to.

    Raises:
        IllegalTransition: not from `current`.
    """
    move = MOVES[verb]
    if current not in move.sources:
        legal = ", ".join(sorted(move.sources))
        raise IllegalTransition(
            f"a referral that is {current.value} cannot take {verb.value!r}; only one that is {legal} can"
        )
    return move.target


def verbs_of(state: ReferralState, sides: frozenset[Side]) -> list[Verb]:
    """What somebody who acts for `sides` may do next."""
    return [verb for verb, move in MOVES.items() if state in move.sources and move.sides & sides]


def table() -> str:
    """The ways as a table in Markdown, as `docs/referrals.md` has it."""
    order = list(ReferralState)
    rows = ["| verb | from | to | by | FHIR Task.status | reason |", "| --- | --- | --- | --- | --- | --- |"]
    for verb, move in MOVES.items():
        sources = ", ".join(each.value for each in sorted(move.sources, key=order.index))
        sides = ", ".join(each.value for each in Side if each in move.sides)
        reasons = ", ".join(each.value for each in REASONS.get(verb, ())) or "none"
        status = TASK_STATUS[move.target]
        rows.append(f"| {verb.value} | {sources} | {move.target.value} | {sides} | {status} | {reasons} |")
    return "\n".join(rows)
