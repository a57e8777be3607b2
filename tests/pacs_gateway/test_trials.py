"""The test lane over real associations: kept apart from studies, and gone after a day."""

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pacs_gateway.arrivals import Ending
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.peers import Peer
from pacs_gateway.sender import send
from pacs_gateway.trials import Trial, TrialInbox, lane_beside, purge_trials
from tests.pacs import await_condition, write_study

Listening = Callable[..., tuple[Inbox, Listener]]


@pytest.fixture
def lane(inbox: Inbox) -> Iterator[TrialInbox]:
    lane = TrialInbox(inbox.root, reserve_bytes=0)
    yield lane
    lane.close()


def ended(lane: TrialInbox) -> Trial:
    def found() -> Trial | None:
        trials = lane.trials()
        return trials[0] if trials and trials[0].closed_at is not None else None

    trial = await_condition(found, "a trial that has ended")
    assert isinstance(trial, Trial)
    return trial


def test_a_study_sent_to_the_test_title_is_a_trial_and_no_study(
    inbox: Inbox, lane: TrialInbox, listen: Listening, tmp_path: Path
) -> None:
    _, listener = listen(inbox)
    paths = write_study(tmp_path / "study", slices=12)
    send(paths, Peer("IMAGINGHUBTEST", "127.0.0.1", listener.port), calling_ae="VENDOR")
    trial = ended(lane)
    assert (trial.sender.calling_ae, trial.stored, trial.duplicate, trial.refused) == ("VENDOR", 12, 0, 0)
    assert len(trial.headers) == 12
    assert trial.identity is not None
    assert trial.endings == (Ending.RELEASED,)
    assert [context.accepted for context in trial.offer if context.name == "CT Image Storage"]
    assert inbox.receiving() == []
    assert inbox.receipts() == []
    later = datetime.now(UTC) + timedelta(hours=1)
    assert inbox.ready_studies(later) == []


def test_the_same_study_again_is_the_same_trial_with_duplicates(
    inbox: Inbox, lane: TrialInbox, listen: Listening, tmp_path: Path
) -> None:
    _, listener = listen(inbox)
    paths = write_study(tmp_path / "study", slices=3)
    peer = Peer("IMAGINGHUBTEST", "127.0.0.1", listener.port)
    for _ in range(2):
        send(paths, peer, calling_ae="VENDOR")
    await_condition(lambda: lane.trials() and lane.trials()[0].associations == 2, "both associations")
    trial = ended(lane)
    assert (trial.stored, trial.duplicate, len(trial.headers)) == (3, 3, 3)
    assert len(lane.trials()) == 1


def test_an_unlisted_caller_leaves_a_trial_that_says_why(
    inbox: Inbox, lane: TrialInbox, listen: Listening
) -> None:
    _, listener = listen(inbox, learn=False)
    done = subprocess.run(
        ["echoscu", "-aet", "NOBODY", "-aec", "IMAGINGHUBTEST", "127.0.0.1", str(listener.port)],
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    trial = ended(lane)
    assert trial.endings == (Ending.REFUSED,)
    assert "NOBODY" in trial.details[0]
    assert inbox.receipts() == []


def test_trials_go_after_a_day_with_their_files(
    inbox: Inbox, lane: TrialInbox, listen: Listening, tmp_path: Path
) -> None:
    _, listener = listen(inbox)
    peer = Peer("IMAGINGHUBTEST", "127.0.0.1", listener.port)
    send(write_study(tmp_path / "study", slices=2), peer, calling_ae="VENDOR")
    ended(lane)
    files = lane_beside(inbox.root) / "instances"
    assert len([path for path in files.rglob("*") if path.is_file()]) == 2
    assert purge_trials(inbox.root, before=datetime.now(UTC) - timedelta(hours=24)) == 0
    assert len(lane.trials()) == 1
    assert purge_trials(inbox.root, before=datetime.now(UTC) + timedelta(seconds=1)) == 2
    assert lane.trials() == []
    assert [path for path in files.rglob("*") if path.is_file()] == []
    send(write_study(tmp_path / "again", slices=2), peer, calling_ae="VENDOR")
    assert ended(lane).stored == 2  # forgotten, so no duplicates


def test_no_lane_is_made_by_purging(tmp_path: Path) -> None:
    assert purge_trials(tmp_path / "inbox", before=datetime.now(UTC)) == 0
    assert list(tmp_path.iterdir()) == []
