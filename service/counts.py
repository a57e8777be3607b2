"""Ask a sender that is also a source of priors how many instances a study has, while the study comes in."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from pacs_gateway.arrivals import StudyProgress
from pacs_gateway.inbox import Inbox
from pacs_gateway.peers import PeerUnreachable
from pacs_gateway.query import QueryRefused, count_instances
from service.db import session_scope
from service.peers import Peer, PeerRole, as_remote, list_peers
from service.settings import Settings

log = logging.getLogger(__name__)

QUIET_FOR = timedelta(seconds=2)
"""While images flow there is nothing to ask."""
AGAIN_AFTER = timedelta(seconds=10)
REMEMBERED = 1000


class Counts:
    """Asks one peer at a time, beside the intake, which never waits for it."""

    def __init__(self, engine: Engine, inbox: Inbox, settings: Settings) -> None:
        self._engine = engine
        self._inbox = inbox
        self._settings = settings
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="counts")
        self._asked_at: dict[str, datetime] = {}
        self._under_way: Future[None] | None = None

    def look(self, arriving: Sequence[StudyProgress]) -> None:
        """Ask for the studies that have fallen silent; returns at once."""
        if self._under_way is not None and not self._under_way.done():
            return
        now = datetime.now(UTC)
        due = [study for study in arriving if self._is_due(study, now)]
        if due:
            self._under_way = self._pool.submit(self._ask_all, due)

    def _is_due(self, study: StudyProgress, now: datetime) -> bool:
        asked_at = self._asked_at.get(study.study_instance_uid)
        return now - study.last_received_at >= QUIET_FOR and (
            asked_at is None or now - asked_at >= AGAIN_AFTER
        )

    def _ask_all(self, due: Sequence[StudyProgress]) -> None:
        if len(self._asked_at) > REMEMBERED:
            self._asked_at.clear()
        with session_scope(self._engine, write=False) as session:
            sources = list_peers(session, role=PeerRole.PRIORS, enabled_only=True)
        for study in due:
            self._asked_at[study.study_instance_uid] = datetime.now(UTC)
            if (peer := _source(study, sources)) is not None:
                self._ask(study, peer)

    def _ask(self, study: StudyProgress, peer: Peer) -> None:
        try:
            count = count_instances(
                as_remote(peer, self._settings), study.study_instance_uid, calling_ae=self._settings.ae_title
            )
        except (PeerUnreachable, QueryRefused) as error:
            log.info("instances not counted: %s", error, extra={"peer": peer.name})
            return
        if count:
            self._inbox.announcements.note_count(study.study_instance_uid, count)

    def close(self) -> None:
        """Let the question under way end."""
        self._pool.shutdown(cancel_futures=True)


def _source(study: StudyProgress, sources: Sequence[Peer]) -> Peer | None:
    senders = {(sender.calling_ae, sender.hcode) for sender in study.senders}
    return next((peer for peer in sources if (peer.ae_title, peer.hcode) in senders), None)
