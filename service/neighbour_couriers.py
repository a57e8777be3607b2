"""Neighbour courier: tells another hub what was done here, step by step, until it has heard or refused it.

One job a neighbour at a time, as with deliveries: a hub that does not answer is knocked at ever less often
and holds up nobody else. What is still to be told is read from the rows, so a killed worker loses nothing;
what was sent and not written down is sent again, and changes nothing there.
"""

import json
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service import audit, circuits
from service.alerts import AlertKind, raise_alert
from service.arrivals import clean
from service.db import now, session_scope
from service.errors import HubError
from service.failures import Failure
from service.fhir.neighbour import SentStep, request_bundle, step_task
from service.fhir.sent import read_sent
from service.fhir.versions import FHIR_JSON
from service.neighbour_moves import adopt, speaker
from service.neighbours import Neighbour, sign_request
from service.referral_links import ReferralLink, line_of, next_link, unsent_steps
from service.referral_states import Verb
from service.referral_steps import ReferralStep, steps_of
from service.referrals import Referral, audit_detail
from service.steps import Step
from service.studies import HUB

log = logging.getLogger(__name__)

DOOR: Final = "/neighbour/fhir"
SLICE_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 20.0
LONGEST_TROUBLE: Final = 500
BUSY: Final = frozenset({401, 408, 425, 429})
"""Statuses that concern the whole neighbour, not what was told: it is asked again later."""

Wake = Callable[[str, datetime | None], object]


@dataclass(frozen=True, slots=True)
class _Errand:
    """One thing to be told."""

    referral: int
    version: int
    method: str
    path: str
    body: bytes
    url: str
    secret: str
    name: str
    step: int | None
    """Of which step; None where only the number is told."""
    hn: str


class NeighbourCourier:
    """Tells neighbours.

    Args:
        engine: The rows.
        wake: Puts the next look at a neighbour in line.
        clock: Now; only tests give another.
    """

    def __init__(self, engine: Engine, *, wake: Wake, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._wake = wake
        self._clock = clock
        self._trusted = ssl.create_default_context()

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `NEIGHBOUR`; what a neighbour does wrong is no failure of the job."""
        return (Step(self.tell, attempts=3, first_wait=2.0),)

    def give_up(self, failure: Failure) -> None:
        """A job broke on something unforeseen: the rows wait on, the neighbour is spared for a while."""
        name = failure.argument["neighbour"]
        with session_scope(self._engine) as session:
            circuits.note_failure(session, line_of(name), failure.error, self._clock())
        log.error("a neighbour is told nothing", extra={"neighbour": name, "step": failure.step})

    def tell(self, argument: dict[str, str]) -> None:
        """Tell one neighbour all there is to tell (the job's step)."""
        name, ends = argument["neighbour"], time.monotonic() + SLICE_SECONDS
        while (errand := self._next(name)) is not None:
            try:
                answer = self._send(errand.method, errand.path, errand.body, errand)
                if answer.status_code >= 500 or answer.status_code in BUSY:
                    raise httpx.HTTPError(f"HTTP {answer.status_code} {answer.text[:200]}")
                home = None if answer.is_success or errand.method == "POST" else self._ask(errand)
            except httpx.HTTPError as error:
                self._spare(name, f"{type(error).__name__}: {error}")
                return
            self._settle(errand, answer, home)
            if time.monotonic() > ends:
                self._wake(name, None)
                return

    def _next(self, name: str) -> _Errand | None:
        """The next thing to tell; links with nothing to tell are passed over."""
        at = self._clock()
        with session_scope(self._engine) as session:
            neighbour = session.scalar(select(Neighbour).where(Neighbour.name == name, Neighbour.enabled))
            circuit = circuits.circuit_of(session, line_of(name))
            if neighbour is None or (circuit.open_until is not None and circuit.open_until > at):
                return None
            while (link := next_link(session, neighbour)) is not None:
                referral = session.get_one(Referral, link.referral_id, with_for_update=True)
                if (errand := _errand(session, neighbour, referral, link)) is not None:
                    return errand
                link.sent_version = referral.version
                session.flush()
            return None

    def _send(self, method: str, path: str, body: bytes, errand: _Errand) -> httpx.Response:
        moment = str(int(time.time()))
        signature = sign_request(errand.secret, moment, method, path, body)
        return httpx.request(
            method,
            errand.url + path,
            content=body,
            headers={
                "Content-Type": FHIR_JSON,
                "X-Hub-Neighbour": errand.name,
                "X-Hub-Timestamp": moment,
                "X-Hub-Signature": f"sha256={signature}",
            },
            timeout=ANSWER_SECONDS,
            verify=self._trusted,
            trust_env=False,
        )

    def _ask(self, errand: _Errand) -> Any:
        """How the referral stands at the neighbour, which has just refused a step."""
        answer = self._send("GET", errand.path, b"", errand)
        return answer.json() if answer.is_success else None

    def _spare(self, name: str, why: str) -> None:
        at = self._clock()
        with session_scope(self._engine) as session:
            until = circuits.note_failure(session, line_of(name), why, at)
        log.warning("a neighbour does not answer", extra={"neighbour": name, "why": why[:200]})
        self._wake(name, until)

    def _settle(self, errand: _Errand, answer: httpx.Response, home: Any) -> None:
        with session_scope(self._engine) as session:
            referral = session.get_one(Referral, errand.referral, with_for_update=True)
            link = session.get_one(ReferralLink, errand.referral, with_for_update=True)
            circuits.note_success(session, line_of(errand.name), self._clock())
            link.sent_step = errand.step or link.sent_step
            link.sent_hn = errand.hn
            link.trouble = ""
            if answer.is_success:
                if errand.method == "POST":
                    link.remote = _remote(answer.json())
                    detail = {**audit_detail(referral), "neighbour": link.neighbour_id}
                    audit.record(session, HUB, "referral.shared", study_id=referral.study_id, detail=detail)
                return
            link.trouble = clean(_problem(answer))[:LONGEST_TROUBLE]
            log.warning(
                "a neighbour refused a step", extra={"referral": referral.id, "status": answer.status_code}
            )
            if link.home and errand.method == "POST":
                _tell_sender(session, referral)
            if not link.home and home is not None:
                _follow_home(session, errand, referral, link, home)


def _errand(session: Session, neighbour: Neighbour, referral: Referral, link: ReferralLink) -> _Errand | None:
    unsent = unsent_steps(session, link)
    step = unsent[0] if unsent else None
    hn = "" if link.home else referral.receiver_hn
    if step is not None and step.verb is Verb.REQUEST and link.remote is None:
        method, path, body = "POST", DOOR, request_bundle(session, referral, step)
    elif link.remote is None:
        return None  # the neighbour did not take the request: there is nothing there to move
    elif step is not None:
        method, path, body = "PUT", f"{DOOR}/Task/{link.remote}", _task(link, referral, step)
    elif hn != link.sent_hn:
        last = steps_of(session, referral)[-1]
        method, path, body = "PUT", f"{DOOR}/Task/{link.remote}", _task(link, referral, last)
    else:
        return None
    return _Errand(
        referral=referral.id,
        version=referral.version,
        method=method,
        path=path,
        body=json.dumps(body, ensure_ascii=False).encode(),
        url=neighbour.url,
        secret=neighbour.secret,
        name=neighbour.name,
        step=step.id if step else None,
        hn=hn,
    )


def _task(link: ReferralLink, referral: Referral, step: ReferralStep) -> Any:
    """A step as a Task under the neighbour's id."""
    return step_task(referral, step) | {"id": link.remote}


def _remote(answer: Any) -> str:
    """The id of the Task that the neighbour made of a request."""
    places = (str(each["response"].get("location", "")) for each in answer["entry"])
    return next(place.split("/")[1] for place in places if place.startswith("Task/"))


def _problem(answer: httpx.Response) -> str:
    try:
        return f"HTTP {answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


def _tell_sender(session: Session, referral: Referral) -> None:
    """Nobody there has seen the request: whoever asked must telephone, or ask another hospital."""
    raise_alert(
        session,
        AlertKind.REFERRAL_ANSWERED,
        hcode=referral.from_hcode,
        study_id=referral.study_id,
        path=f"/referrals/{referral.id}",
        key=f"referral:{referral.id}:untaken",
    )


def _follow_home(
    session: Session, errand: _Errand, referral: Referral, link: ReferralLink, home: Any
) -> None:
    """The referral's home did not take a step of ours: as it stands there it stands."""
    try:
        sent = read_sent(SentStep, home)
        if sent.state is not referral.state:
            neighbour = session.get_one(Neighbour, link.neighbour_id)
            adopt(session, referral, link, sent, speaker(neighbour, referral.from_hcode, sent))
    except HubError as error:
        link.trouble = f"{link.trouble}; and then: {error}"[:LONGEST_TROUBLE]
