"""Counts: a sender that is a source of priors is asked how many instances a silent study has."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pacs_gateway.arrivals import StudyProgress
from pacs_gateway.callers import Sender
from pacs_gateway.completion import CompletionCode
from pacs_gateway.inbox import Inbox
from service.counts import Counts
from service.db import session_scope
from service.peers import add_peer
from service.settings import Settings
from tests.pacs import archive_that_counts, await_condition, write_study
from tests.service.factories import UDON

SENDER = Sender("UDON_PACS", "IMAGINGHUB", "127.0.0.1", UDON)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    inbox = Inbox(tmp_path / "inbox", reserve_bytes=0)
    number = inbox.open_association(SENDER)
    for path in write_study(tmp_path / "study", slices=4):
        inbox.add_part10(path, SENDER, association_id=number)
    yield inbox
    inbox.close()


def test_a_study_is_complete_when_as_many_are_here_as_its_pacs_counts(
    engine: Engine, settings: Settings, inbox: Inbox
) -> None:
    counts = Counts(engine, inbox, settings)
    with archive_that_counts(4) as port:
        with session_scope(engine) as session:
            add_peer(
                session,
                "udon",
                ae_title="UDON_PACS",
                host="127.0.0.1",
                port=port,
                hcode=UDON,
                roles=["priors"],
            )
        (arriving,) = inbox.receiving()
        counts.look([arriving])
        assert inbox.announcements.of(arriving.study_instance_uid) is None  # images were flowing just now
        counts.look([silent(arriving)])
        await_condition(lambda: inbox.announcements.of(arriving.study_instance_uid), "the count")
    counts.close()
    (ready,) = inbox.ready_studies()
    assert ready.completion.code is CompletionCode.COUNTED


def test_a_pacs_that_is_away_changes_nothing(engine: Engine, settings: Settings, inbox: Inbox) -> None:
    with session_scope(engine) as session:
        add_peer(
            session, "udon", ae_title="UDON_PACS", host="127.0.0.1", port=1, hcode=UDON, roles=["priors"]
        )
    counts = Counts(engine, inbox, settings)
    (arriving,) = inbox.receiving()
    counts.look([silent(arriving)])
    counts.close()
    assert inbox.announcements.of(arriving.study_instance_uid) is None


def silent(study: StudyProgress) -> StudyProgress:
    """The same study, its last image some seconds ago."""
    return StudyProgress(
        study_instance_uid=study.study_instance_uid,
        senders=study.senders,
        instances=study.instances,
        open_associations=study.open_associations,
        first_received_at=study.first_received_at,
        last_received_at=datetime.now(UTC) - timedelta(seconds=5),
    )
