"""Orders to analyse a study: from the inbox loop, from a person, kept by the job engine until done."""

from datetime import datetime, timedelta

from sqlalchemy import Engine

from service import jobs, studies
from service.db import now, session_scope
from service.failures import Failure
from service.jobs import JobClient
from service.notifications import line_of
from service.states import Lane, Priority
from service.steps import Argument

ANALYSE = "analyse"
"""The name of the job; `pathway.Pathway.steps` are its steps."""

JOB_LANES = {Lane.LIVE: jobs.Lane.LIVE, Lane.RETROSPECTIVE: jobs.Lane.BATCH}
JOB_PRIORITIES = {Priority.STAT: jobs.Priority.STAT, Priority.ROUTINE: jobs.Priority.ROUTINE}

DELIVER = "deliver"
"""The name of the job that looks after one destination; `couriers.Courier.deliver` is its step."""

SIGN = "sign"
"""The name of the job that makes the final report; `pathway.Pathway.return_signed` is its step."""

TELL = "tell"
"""The name of the job that carries alerts on one line; `messengers.Messenger.tell` is its step."""

HAND_OVER = "hand_over"
"""The name of the job that readdresses a referred study; `handovers.Handover.hand_over` is its step."""

REPLY = "reply"
"""The name of the job that takes a reply letter to the sender's PACS; `replies.Replies.reply` is its step."""

REPORT = "report"
"""The name of the job that tells MOPH Refer of one hospital's referrals; `moph.reporter.Reporter.report`."""
FREEZE = "freeze"
"""The name of the job that makes a data set; `freezing.Freezing.carry_out` is its step."""

UNPACK = "unpack"
"""The name of the job that opens an upload; `unpacking.Unpacking.unpack` is its step."""

NOTIFY = "notify"
"""The name of the job that calls one subscriber; `notifiers.Notifier.notify` is its step."""

NEIGHBOUR = "neighbour"
"""The name of the job that tells a neighbour hub; `neighbour_couriers.NeighbourCourier.tell` is its step."""

SWEEP_SECONDS = 10
LINE_SWEEP_SECONDS = 2
"""An alert is looked after sooner than a delivery."""


class Orders:
    """The API's and the inbox loop's way to the job engine."""

    def __init__(self, engine: Engine, jobs_url: str) -> None:
        self._engine = engine
        self._client = JobClient(jobs_url)

    def analyse(self, study_id: int, revision: int) -> None:
        """Have a revision of a study analysed; ordering the same again is one job."""
        with session_scope(self._engine, write=False) as session:
            study = studies.load_study(session, study_id, lock=False)
            lane, priority = JOB_LANES[study.lane], JOB_PRIORITIES[study.priority]
        argument: Argument = {"study": study_id, "revision": revision}
        key = f"{ANALYSE}:{study_id}:{revision}"
        self._client.enqueue(ANALYSE, key, argument, lane=lane, priority=priority)

    def sign(self, study_id: int, revision: int, review_id: int) -> None:
        """Have the final report made of a radiologist's word; ordering the same again is one job."""
        argument = {"study": study_id, "revision": revision, "review": review_id}
        self._client.enqueue(SIGN, f"{SIGN}:{review_id}", argument, priority=jobs.Priority.STAT)

    def hand_over(self, argument: Argument) -> None:
        """Have a referred study made ready for the receiving hospital; ordering the same again is one job."""
        key = f"{HAND_OVER}:{argument['referral']}:{argument['version']}:{argument['object']}"
        self._client.enqueue(HAND_OVER, key, argument, lane=jobs.Lane.DELIVERY, priority=jobs.Priority.STAT)

    def reply(self, argument: Argument) -> None:
        """Have a reply letter taken to the sending hospital; ordering the same again is one job."""
        key = f"{REPLY}:{argument['referral']}"
        self._client.enqueue(REPLY, key, argument, lane=jobs.Lane.DELIVERY)

    def unpack(self, upload: int) -> None:
        """Have an upload opened; ordering the same again is one job."""
        self._client.enqueue(UNPACK, f"{UNPACK}:{upload}", {"upload": upload}, lane=jobs.Lane.DELIVERY)

    def freeze(self, order: int) -> None:
        """Have an order of a data set carried out; ordering the same again is one job."""
        lane, priority = jobs.Lane.TRAINING, jobs.Priority.RETRAINING
        self._client.enqueue(FREEZE, f"{FREEZE}:{order}", {"order": order}, lane=lane, priority=priority)

    def deliver(self, peer: str, at: datetime | None = None) -> None:
        """Have a destination looked after, at once or at a time; the same time again is one job."""
        moment = at or now()
        key = f"{DELIVER}:{peer}:{int(moment.timestamp() * 1000)}"
        delay = max(0.0, (moment - now()).total_seconds())
        self._deliver(peer, key, delay)

    def sweep(self, peer: str, at: datetime) -> None:
        """Have a destination looked after for which something is due; once in ten seconds is enough."""
        self._deliver(peer, f"{DELIVER}:{peer}:sweep:{int(at.timestamp() // SWEEP_SECONDS)}", 0.0)

    def _deliver(self, peer: str, key: str, delay: float) -> None:
        argument = {"peer": peer}
        lane = jobs.Lane.OUTBOUND
        self._client.enqueue(DELIVER, key, argument, lane=lane, delay=delay, partition=peer)

    def tell(self, line: str, at: datetime | None = None) -> None:
        """Have a line of alerts looked after, at once or at a time; the same time again is one job."""
        moment = at or now()
        delay = max(0.0, (moment - now()).total_seconds())
        self._tell(line, f"{int(moment.timestamp() * 1000)}", delay)

    def sweep_line(self, line: str, at: datetime) -> None:
        """Have a line looked after on which something is due; once in two seconds is enough."""
        self._tell(line, f"sweep:{int(at.timestamp() // LINE_SWEEP_SECONDS)}", 0.0)

    def _tell(self, line: str, moment: str, delay: float) -> None:
        key, lane = f"{TELL}:{line}:{moment}", jobs.Lane.OUTBOUND
        self._client.enqueue(
            TELL, key, {"line": line}, lane=lane, priority=jobs.Priority.STAT, delay=delay, partition=line
        )

    def report(self, hcode: str, at: datetime | None = None) -> None:
        """Have a hospital's line to MOPH Refer looked after, at once or at a time."""
        moment = at or now()
        delay = max(0.0, (moment - now()).total_seconds())
        self._report(hcode, f"{int(moment.timestamp() * 1000)}", delay)

    def sweep_report(self, hcode: str, at: datetime) -> None:
        """Have a line looked after on which something is due; once in ten seconds is enough."""
        self._report(hcode, f"sweep:{int(at.timestamp() // SWEEP_SECONDS)}", 0.0)

    def _report(self, hcode: str, moment: str, delay: float) -> None:
        key, lane = f"{REPORT}:{hcode}:{moment}", jobs.Lane.MINISTRY
        self._client.enqueue(REPORT, key, {"hcode": hcode}, lane=lane, delay=delay, partition=hcode)

    def notify(self, subscription: int, at: datetime | None = None) -> None:
        """Have a subscriber called, at once or at a time; the same time again is one job."""
        moment = at or now()
        delay = max(0.0, (moment - now()).total_seconds())
        self._notify(subscription, f"{int(moment.timestamp() * 1000)}", delay)

    def sweep_subscription(self, subscription: int, at: datetime) -> None:
        """Have a subscriber called for whom something is due; once in two seconds is enough."""
        self._notify(subscription, f"sweep:{int(at.timestamp() // LINE_SWEEP_SECONDS)}", 0.0)

    def _notify(self, subscription: int, moment: str, delay: float) -> None:
        key, argument = f"{NOTIFY}:{subscription}:{moment}", {"subscription": subscription}
        line = line_of(subscription)
        self._client.enqueue(NOTIFY, key, argument, lane=jobs.Lane.CALLING, delay=delay, partition=line)

    def tell_neighbour(self, name: str, at: datetime | None = None) -> None:
        """Have a neighbour told what is due, at once or at a time; the same time again is one job."""
        moment = at or now()
        delay = max(0.0, (moment - now()).total_seconds())
        self._tell_neighbour(name, f"{int(moment.timestamp() * 1000)}", delay)

    def sweep_neighbour(self, name: str, at: datetime) -> None:
        """Have a neighbour told for which something is due; once in two seconds is enough."""
        self._tell_neighbour(name, f"sweep:{int(at.timestamp() // LINE_SWEEP_SECONDS)}", 0.0)

    def _tell_neighbour(self, name: str, moment: str, delay: float) -> None:
        key, lane = f"{NEIGHBOUR}:{name}:{moment}", jobs.Lane.OUTBOUND
        line = f"{NEIGHBOUR}.{name}"
        self._client.enqueue(
            NEIGHBOUR, key, {"neighbour": name}, lane=lane, priority=jobs.Priority.STAT, delay=delay,
            partition=line,
        )  # fmt: skip

    def failed(self, *, limit: int = 50) -> list[Failure]:
        """Jobs that ended in failure, newest first."""
        return self._client.failed(limit=limit)

    def retry(self, key: str) -> bool:
        """Put a failed job in line again; False where none of this key has failed."""
        return self._client.retry(key)

    def waiting(self) -> dict[str, int]:
        """Jobs that wait for a worker, by lane."""
        return {lane.value: depth.waiting + depth.delayed for lane, depth in self._client.depth().items()}

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def last_heard(self) -> datetime | None:
        """When any worker last gave a sign of life; None when none ever did."""
        silent = [worker.seconds_silent for worker in self._client.workers()]
        return now() - timedelta(seconds=min(silent)) if silent else None
