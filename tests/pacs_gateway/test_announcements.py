"""MPPS, IAN and counts: taken over the wire, and what they say of when a study is complete."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from pacs_gateway.announcements import StepExists, StepIsOver, UnknownStep
from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.completion import Announced, CompletionCode
from pacs_gateway.inbox import Inbox
from pacs_gateway.listener import Listener
from pacs_gateway.reactor import reactor_held
from tests.pacs import write_study
from tests.pacs_gateway.conftest import Clock

STUDY, STEP = "1.2.3.1", "1.2.9.9"


def uids(first: int, last: int) -> list[str]:
    return [f"{STUDY}.1.{number}" for number in range(first, last + 1)]


def references(instances: list[str]) -> list[Dataset]:
    items = []
    for uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, UID(uid)
        items.append(item)
    return items


def created(status: str = "IN PROGRESS") -> Dataset:
    step, data = Dataset(), Dataset()
    step.StudyInstanceUID = UID(STUDY)
    data.PerformedProcedureStepStatus = status
    data.ScheduledStepAttributesSequence = [step]
    return data


def changed(status: str, instances: list[str]) -> Dataset:
    series, data = Dataset(), Dataset()
    series.ReferencedImageSequence = references(instances)
    data.PerformedProcedureStepStatus = status
    data.PerformedSeriesSequence = [series]
    return data


@contextmanager
def scanner(port: int) -> Iterator[Association]:
    ae = AE(ae_title="CT1")
    ae.add_requested_context(ModalityPerformedProcedureStep)
    ae.add_requested_context(InstanceAvailabilityNotification)
    association = ae.associate("127.0.0.1", port, ae_title="IMAGINGHUB")
    assert association.is_established
    with reactor_held(association):
        yield association
    association.release()


@pytest.fixture
def hub(listen: Callable[..., tuple[Inbox, Listener]]) -> tuple[Inbox, Listener]:
    return listen()


class TestOverTheWire:
    def test_a_step_begins_and_ends_with_what_it_made(self, hub: tuple[Inbox, Listener]) -> None:
        with scanner(hub[1].port) as calls:
            begun, _ = calls.send_n_create(created(), ModalityPerformedProcedureStep, UID(STEP))
            assert hub[0].announcements.of(STUDY) is None  # in progress says nothing yet
            over, _ = calls.send_n_set(
                changed("COMPLETED", uids(1, 36)), ModalityPerformedProcedureStep, UID(STEP)
            )
        assert (begun.Status, over.Status) == (0, 0)
        assert hub[0].announcements.of(STUDY) == Announced("MPPS", 36, 36, 0)

    @pytest.mark.parametrize(
        ("steps", "status"),
        [
            ([("set", "COMPLETED")], 0x0112),
            ([("create", "COMPLETED")], 0x0115),
            ([("create", "IN PROGRESS"), ("create", "IN PROGRESS")], 0x0111),
            ([("create", "IN PROGRESS"), ("set", "DISCONTINUED"), ("set", "COMPLETED")], 0x0110),
        ],
    )
    def test_a_step_out_of_order_is_answered_with_its_status(
        self, hub: tuple[Inbox, Listener], steps: list[tuple[str, str]], status: int
    ) -> None:
        with scanner(hub[1].port) as calls:
            for what, state in steps:
                send: Any = calls.send_n_create if what == "create" else calls.send_n_set
                data = created(state) if what == "create" else changed(state, uids(1, 2))
                answer, _ = send(data, ModalityPerformedProcedureStep, UID(STEP))
        assert answer.Status == status

    def test_a_pacs_notifies_what_it_has(self, hub: tuple[Inbox, Listener]) -> None:
        series, data = Dataset(), Dataset()
        series.ReferencedSOPSequence = references(uids(1, 4))
        data.StudyInstanceUID = UID(STUDY)
        data.ReferencedSeriesSequence = [series]
        with scanner(hub[1].port) as calls:
            answer, _ = calls.send_n_create(data, InstanceAvailabilityNotification, UID("1.2.8"))
            empty, _ = calls.send_n_create(created(), InstanceAvailabilityNotification, UID("1.2.8.1"))
        assert (answer.Status, empty.Status) == (0, 0x0115)
        assert hub[0].announcements.of(STUDY) == Announced("IAN", 4, 4, 0)

    def test_a_notice_of_a_class_that_does_not_know_it_is_refused(self, hub: tuple[Inbox, Listener]) -> None:
        with scanner(hub[1].port) as calls:
            answer, _ = calls.send_n_set(created(), InstanceAvailabilityNotification, UID("1.2.8"))
        assert answer.Status == 0x0211


class TestCompletion:
    @pytest.fixture
    def arriving(
        self, open_inbox: Callable[..., Inbox], sender: Sender, clock: Clock, tmp_path: Path
    ) -> tuple[Inbox, Callable[[int, int], None]]:
        """An inbox, and what makes slices arrive on an association of their own; too few for a head."""
        inbox = open_inbox(clock=clock)
        paths = write_study(tmp_path / "study", study=STUDY, slices=8)

        def arrive(first: int, last: int) -> None:
            number = inbox.open_association(sender)
            for path in paths[first - 1 : last]:
                inbox.add_part10(path, sender, association_id=number)
            inbox.close_association(number, Ending.RELEASED)

        return inbox, arrive

    def codes(self, inbox: Inbox) -> list[tuple[CompletionCode, str]]:
        return [(each.completion.code, each.completion.text) for each in inbox.ready_studies()]

    def test_all_that_mpps_lists_completes_at_once(
        self, arriving: tuple[Inbox, Callable[[int, int], None]]
    ) -> None:
        inbox, arrive = arriving
        inbox.announcements.begin_step(STEP, [STUDY])
        arrive(1, 4)
        inbox.announcements.change_step(STEP, uids(1, 8), finished=True)
        assert self.codes(inbox) == []
        arrive(5, 8)
        assert self.codes(inbox) == [(CompletionCode.ANNOUNCED, "8 here, all 8 that MPPS lists")]

    def test_what_is_missing_is_waited_for_longest_and_then_named(
        self, arriving: tuple[Inbox, Callable[[int, int], None]], clock: Clock
    ) -> None:
        inbox, arrive = arriving
        inbox.announcements.note_available(STUDY, uids(1, 8))
        arrive(1, 6)
        clock.pass_by(59)
        assert self.codes(inbox) == []
        clock.pass_by(1)
        ((code, text),) = self.codes(inbox)
        assert code is CompletionCode.QUIET
        assert text.endswith("2 of 8 that IAN says are missing")

    def test_as_many_as_the_sender_counts_completes(
        self, arriving: tuple[Inbox, Callable[[int, int], None]]
    ) -> None:
        inbox, arrive = arriving
        arrive(1, 8)
        inbox.announcements.note_count(STUDY, 9)
        assert self.codes(inbox) == []
        inbox.announcements.note_count(STUDY, 8)
        assert self.codes(inbox) == [(CompletionCode.COUNTED, "the sender counts 8, 8 are here")]

    def test_two_steps_of_a_study_must_both_be_over(
        self, arriving: tuple[Inbox, Callable[[int, int], None]]
    ) -> None:
        inbox, arrive = arriving
        for step in (STEP, f"{STEP}.1"):
            inbox.announcements.begin_step(step, [STUDY])
        arrive(1, 8)
        inbox.announcements.change_step(STEP, uids(1, 4), finished=True)
        assert self.codes(inbox) == []
        inbox.announcements.change_step(f"{STEP}.1", uids(5, 8), finished=True)
        assert [code for code, _ in self.codes(inbox)] == [CompletionCode.ANNOUNCED]


def test_a_refused_step_does_not_fail_what_is_committed_beside_it(inbox: Inbox) -> None:
    with pytest.raises(UnknownStep):
        inbox.announcements.change_step(STEP, [], finished=True)
    inbox.announcements.begin_step(STEP, [])
    with pytest.raises(StepExists):
        inbox.announcements.begin_step(STEP, [])
    inbox.announcements.change_step(STEP, [], finished=True)
    with pytest.raises(StepIsOver):
        inbox.announcements.change_step(STEP, [], finished=True)
