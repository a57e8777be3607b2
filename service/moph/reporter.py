"""Reporter: brings what waits for MOPH Refer there, one hospital's line at a time.

As with deliveries to PACS a line that does not answer is knocked at ever less often (5 s to 15 min). It has a
queue of its own in the engine, so that a dead MOPH Refer holds up neither images nor alerts.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from service import circuits
from service.channels.message import Later, Refused, Unreachable
from service.db import now, session_scope
from service.failures import Failure
from service.moph.client import Keys, NotLetIn, NRefer
from service.moph.keys import NReferKey
from service.moph.messages import (
    MessageState,
    MophMessage,
    line_of,
    next_due,
    next_look,
    postpone,
    settle,
)
from service.moph.outbox import PATHS, digest_of, record_of
from service.moph.reading import read_refer
from service.moph.records import Record
from service.referrals import Referral
from service.steps import Step
from service.studies import Study

log = logging.getLogger(__name__)

SLICE_SECONDS: Final = 60.0
Wake = Callable[[str, datetime | None], object]


@dataclass(frozen=True, slots=True)
class _Errand:
    number: int
    path: str
    content: Record | Sequence[Record]
    digest: str
    keys: Keys
    hides: Sequence[str]
    """What of the patient must not stand in a reason."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    errand: _Errand
    state: MessageState
    """`WAITING` where it may go better another time."""
    reason: str
    spare: bool = False
    """Whether the whole line is to be left alone for a while."""


class Reporter:
    """Sends to MOPH Refer.

    Args:
        engine: The rows.
        nrefer: The interface; None where the settings name none: nothing is sent then.
        wake: Puts the next look at a hospital's line in line.
        clock: Now; only tests give another.
    """

    def __init__(
        self, engine: Engine, nrefer: NRefer | None, *, wake: Wake, clock: Callable[[], datetime] = now
    ) -> None:
        self._engine = engine
        self._nrefer = nrefer
        self._wake = wake
        self._clock = clock

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `REPORT`; what MOPH Refer does wrong is no failure of the job."""
        return (Step(self.report, attempts=3, first_wait=2.0),)

    def report(self, argument: dict[str, str]) -> None:
        """Send everything that is due of one hospital (the job's step); then put the next look in line."""
        if self._nrefer is None:
            return
        hcode, ends = argument["hcode"], time.monotonic() + SLICE_SECONDS
        errand = self._turn(hcode, None)
        while errand is not None:
            outcome = self._send(self._nrefer, errand)
            told = {"record": errand.number, "hospital": hcode, "state": outcome.state.value}
            log.info("MOPH Refer told", extra=told)
            errand = self._turn(hcode, outcome, more=time.monotonic() < ends)
        with session_scope(self._engine) as session:
            moment = next_look(session, hcode)
        if moment is not None:
            self._wake(hcode, moment if moment > self._clock() else None)

    def give_up(self, failure: Failure) -> None:
        """A job broke on something unforeseen: the messages wait on, the line is spared for a while."""
        hcode = failure.argument["hcode"]
        with session_scope(self._engine) as session:
            circuits.note_failure(session, line_of(hcode), failure.error, self._clock())
        log.error("MOPH Refer: a line stopped", extra={"hospital": hcode, "step": failure.step})

    def _turn(self, hcode: str, outcome: _Outcome | None, *, more: bool = True) -> _Errand | None:
        """Write down what became of one message and take the next, in one transaction."""
        at = self._clock()
        with session_scope(self._engine) as session:
            if outcome is not None:
                _settle(session, hcode, outcome, at)
                session.flush()
            return self._next(session, hcode, at) if more else None

    def _next(self, session: Session, hcode: str, at: datetime) -> _Errand | None:
        keys = session.get(NReferKey, hcode)
        if keys is None:
            return None
        while (message := next_due(session, hcode, at)) is not None:
            if at >= message.give_up_at:
                settle(message, MessageState.EXPIRED, f"not in 72 h; last: {message.reason}", at)
                session.flush()
                continue
            referral = session.get_one(Referral, message.referral_id)
            refer = read_refer(session, referral)
            content = record_of(refer, message.kind)
            assert content, message.kind
            message.attempts += 1
            message.digest = digest_of(content)
            name = session.get_one(Study, referral.study_id).patient_name
            return _Errand(
                message.id,
                PATHS[message.kind],
                content,
                message.digest,
                Keys(hcode, keys.api_key, keys.secret_key),
                (refer.hn, refer.outcome.hn, refer.details.citizen_id, *re.split(r"[\^= ]", name)),
            )
        return None

    def _send(self, nrefer: NRefer, errand: _Errand) -> _Outcome:
        try:
            said = nrefer.save(errand.path, errand.content, errand.keys)
            return _Outcome(errand, MessageState.SENT, said)
        except Unreachable as error:
            return _Outcome(errand, MessageState.WAITING, str(error), spare=True)
        except NotLetIn as error:
            return _Outcome(errand, MessageState.WAITING, f"the keys are refused: {error}", spare=True)
        except Later as error:
            return _Outcome(errand, MessageState.WAITING, str(error))
        except Refused as error:
            return _Outcome(errand, MessageState.REFUSED, str(error))


def _settle(session: Session, hcode: str, outcome: _Outcome, at: datetime) -> None:
    message = session.get_one(MophMessage, outcome.errand.number, with_for_update=True)
    reason = _without_patient(outcome.reason, outcome.errand.hides)
    line = line_of(hcode)
    if outcome.spare:
        until = circuits.note_failure(session, line, reason, at)
    else:
        circuits.note_success(session, line, at)
        until = at + circuits.wait_after(message.attempts)
    if message.state is not MessageState.WAITING:
        return
    if outcome.state is MessageState.WAITING:
        postpone(message, until, reason)
    elif message.digest == outcome.errand.digest:
        settle(message, outcome.state, reason, at)
    # else the referral changed meanwhile: it waits on, with what it says now


def _without_patient(text: str, hides: Sequence[str]) -> str:
    """What MOPH Refer said, with dots where it repeats something of the patient."""
    for each in sorted({each for each in hides if len(each) > 1}, key=len, reverse=True):
        text = text.replace(each, "…")
    return text
