"""From the inbox into the hub: shown while arriving, admitted once, good after a crash at any point."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from model.phantom import simulate_head
from model.phantom_dicom import DIALECTS, write_series
from model.phantom_vendors import draw_patient
from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.inbox import Inbox
from service import series, studies
from service.accounts import OPERATOR
from service.db import session_scope
from service.intake import Intake
from service.jobs import JobState
from service.orders import Orders
from service.settings import Settings
from service.sight import find_study
from service.states import StudyState
from service.storage import FolderStorage, Storage

UDON = Sender("UDON_CT1", "IMAGINGHUB", "127.0.0.1", "10671")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("head")
    return write_series(
        simulate_head(1, side=64), folder, dialect=DIALECTS[0], patient=draw_patient(1), study_uid="1.2.3"
    )


@pytest.fixture
def inbox(settings: Settings) -> Iterator[Inbox]:
    inbox = Inbox(settings.inbox, reserve_bytes=0)
    yield inbox
    inbox.close()


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return FolderStorage(settings.storage_folder)


@pytest.fixture
def orders(engine: Engine, settings: Settings) -> Orders:
    return Orders(engine, f"sqlite:///{settings.data / 'jobs.sqlite'}")


@pytest.fixture
def intake(engine: Engine, storage: Storage, inbox: Inbox, orders: Orders, settings: Settings) -> Intake:
    return Intake(engine, storage, inbox, orders, settings.data / "intake.lock")


def deliver(inbox: Inbox, paths: list[Path], *, released: bool = True) -> int:
    association = inbox.open_association(UDON)
    for path in paths:
        inbox.add_part10(path, UDON, association_id=association)
    if released:
        inbox.close_association(association, Ending.RELEASED)
    return association


def found(engine: Engine) -> studies.Study:
    with session_scope(engine, write=False) as session:
        return find_study(session, "1.2.3", OPERATOR)


def now() -> datetime:
    return datetime.now(UTC)


def test_study_is_shown_while_it_arrives(
    engine: Engine, inbox: Inbox, intake: Intake, head: list[Path]
) -> None:
    deliver(inbox, head[:5], released=False)
    assert intake.round(now()) == 0
    study = found(engine)
    assert (study.state, study.instances, study.hcode) == (StudyState.RECEIVING, 5, "10671")


def test_complete_study_is_stored_and_ordered_once(
    engine: Engine, inbox: Inbox, intake: Intake, orders: Orders, storage: Storage, head: list[Path]
) -> None:
    deliver(inbox, head)
    assert intake.round(now()) == 1
    assert intake.round(now()) == 0
    study = found(engine)
    assert (study.state, study.revision, study.instances) == (StudyState.READY, 1, len(head))
    with session_scope(engine, write=False) as session:
        keys = series.storage_keys(session, study.id)
    assert len(keys) == len(head)
    assert all(storage.exists(key) for key in keys)
    assert orders.waiting()["live"] == 1


def test_crash_between_rows_and_order_is_made_good(
    engine: Engine, inbox: Inbox, intake: Intake, orders: Orders, head: list[Path], settings: Settings
) -> None:
    deliver(inbox, head)
    broken = Intake(
        engine,
        FolderStorage(settings.storage_folder),
        inbox,
        Orders(engine, f"sqlite:///{settings.data / 'gone.sqlite'}"),
        settings.data / "intake.lock",
    )
    broken._orders._client.close()
    (settings.data / "gone.sqlite").unlink()
    with pytest.raises(Exception, match="no such table"):
        broken.round(now())
    assert found(engine).state is StudyState.READY
    assert orders.waiting()["live"] == 0

    assert intake.round(now()) == 1
    assert found(engine).revision == 1
    assert orders.waiting()["live"] == 1


def test_late_slices_make_a_new_revision_with_an_order_of_its_own(
    engine: Engine, inbox: Inbox, intake: Intake, orders: Orders, head: list[Path]
) -> None:
    deliver(inbox, head[:-2])
    intake.round(now() + timedelta(minutes=2))
    deliver(inbox, head[-2:])
    intake.round(now() + timedelta(minutes=4))
    study = found(engine)
    assert (study.revision, study.instances) == (2, len(head))
    assert orders.waiting()["live"] == 2


def test_resent_study_changes_nothing(
    engine: Engine, inbox: Inbox, intake: Intake, orders: Orders, head: list[Path]
) -> None:
    deliver(inbox, head)
    intake.round(now())
    deliver(inbox, head)
    assert intake.round(now() + timedelta(minutes=2)) == 0
    assert found(engine).revision == 1
    assert orders.waiting()["live"] == 1


def test_inbox_lets_go_of_what_storage_holds(inbox: Inbox, intake: Intake, head: list[Path]) -> None:
    deliver(inbox, head)
    intake.round(now())
    assert list((inbox.root / "instances").glob("*/*"))
    intake.round(now() + timedelta(hours=3))
    assert not list((inbox.root / "instances").glob("*/*"))


def test_order_says_where_the_job_is(
    engine: Engine, inbox: Inbox, intake: Intake, orders: Orders, head: list[Path]
) -> None:
    deliver(inbox, head)
    intake.round(now())
    status = orders._client.status(f"analyse:{found(engine).id}:1")
    assert status is not None
    assert status.state is JobState.WAITING
    assert orders.last_heard() is None


def test_study_that_waits_without_an_order_is_ordered_again(
    engine: Engine, intake: Intake, orders: Orders, inbox: Inbox, head: list[Path]
) -> None:
    deliver(inbox, head)
    intake.round(now())
    with session_scope(engine) as session:
        study = find_study(session, "1.2.3", OPERATOR)
        studies.begin_analysis(session, study)
        studies.mark_failed(session, study, "analyse", "disk full")
        studies.reopen(session, study)  # and the order that should follow is lost
    assert orders.waiting()["live"] == 1
    intake.round(now() + timedelta(minutes=3))
    assert orders.waiting()["live"] == 2
    intake.round(now() + timedelta(minutes=6))
    assert orders.waiting()["live"] == 2


def test_study_that_cannot_be_kept_does_not_hold_up_its_neighbour(
    engine: Engine, inbox: Inbox, intake: Intake, head: list[Path], tmp_path: Path
) -> None:
    other = write_series(
        simulate_head(2, side=64), tmp_path, dialect=DIALECTS[0], patient=draw_patient(2), study_uid="1.2.4"
    )
    deliver(inbox, other)
    broken = inbox.ready_studies(now())[0].instances[-1].path
    content = broken.read_bytes()
    broken.unlink()
    broken.mkdir()  # the disk gives no file for this name
    deliver(inbox, head)
    with pytest.raises(IsADirectoryError):
        intake.round(now())
    assert found(engine).state is StudyState.READY

    broken.rmdir()
    broken.write_bytes(content)
    assert intake.round(now()) == 1


def test_study_whose_identity_cannot_be_read_does_not_hold_up_its_neighbour(
    engine: Engine, inbox: Inbox, intake: Intake, head: list[Path], tmp_path: Path
) -> None:
    other = write_series(
        simulate_head(2, side=64), tmp_path, dialect=DIALECTS[0], patient=draw_patient(2), study_uid="1.2.4"
    )
    deliver(inbox, other)
    broken = [each.path for each in inbox.ready_studies(now())[0].instances]
    moved = [path.rename(tmp_path / path.name) for path in broken]
    deliver(inbox, head)
    assert intake.round(now()) == 1
    assert found(engine).state is StudyState.READY

    for here, there in zip(moved, broken, strict=True):
        here.rename(there)
    assert intake.round(now()) == 1
