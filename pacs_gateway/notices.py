"""DIMSE-N requests that the listener takes: commitment both ways, MPPS, IAN. PS3.4 annexes F, J and R."""

import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from pacs_gateway import dimse, status
from pacs_gateway.announcements import StepExists, StepIsOver, UnknownStep
from pacs_gateway.callers import Sender
from pacs_gateway.commitment import REQUEST_COMMITMENT, BadRequestData, read_references
from pacs_gateway.commitments import DuplicateTransaction
from pacs_gateway.dimse import Command
from pacs_gateway.inbox import Inbox
from pacs_gateway.negotiation import COMMITMENT, IAN, MPPS
from pacs_gateway.store import Answer

log = logging.getLogger(__name__)

LONGEST = 16 << 20
"""Bytes: references to 100,000 instances."""
OVER = ("COMPLETED", "DISCONTINUED")


class Notice:
    """One request, fed with the fragments of its data set; `finish` says what to answer."""

    def __init__(self, inbox: Inbox, sender: Sender, command: Command, transfer_syntax_uid: str) -> None:
        self._inbox = inbox
        self._sender = sender
        self._syntax = UID(transfer_syntax_uid)
        self._data = bytearray()
        self._too_long = False
        if command.field == dimse.N_CREATE_RQ and not command.sop_instance_uid:
            command = replace(command, sop_instance_uid=f"2.25.{uuid.uuid4().int}")  # PS3.7 10.1.5.1.4
        self.command = command

    def write(self, fragment: memoryview) -> None:
        """Take a piece of the data set; of one that is too long the rest is only let pass."""
        self._too_long = self._too_long or len(self._data) + len(fragment) > LONGEST
        if not self._too_long:
            self._data += fragment

    def abandon(self) -> None:
        """The association ended in mid-request: nothing was promised."""
        self._data.clear()

    def finish(self) -> Answer:
        """Act on the request durably, and say what to answer."""
        act = self._act()
        if act is None:
            return Answer(status.UNRECOGNISED_OPERATION, "not provided for this SOP class")
        if self._too_long:
            return Answer(status.RESOURCE_LIMITATION, f"more than {LONGEST} bytes")
        try:
            act(_decode(self._data, self._syntax))
        except (BadRequestData, UnicodeError) as error:
            return Answer(status.INVALID_ARGUMENT, str(error))
        except UnknownStep as error:
            return Answer(status.NO_SUCH_INSTANCE, str(error))
        except StepExists as error:
            return Answer(status.DUPLICATE_INSTANCE, str(error))
        except (StepIsOver, DuplicateTransaction) as error:
            return Answer(status.PROCESSING_FAILURE, str(error))
        except (OSError, sqlite3.Error) as error:
            log.error("a notice was not kept: %s", error, extra={"calling_ae": self._sender.calling_ae})
            return Answer(status.RESOURCE_LIMITATION, "not kept, try again")
        except (
            Exception
        ) as error:  # pydicom decodes lazily and lets any error out that arbitrary bytes provoke
            log.warning("unreadable notice: %s", type(error).__name__)
            return Answer(status.PROCESSING_FAILURE, "the data set cannot be read")
        return Answer(status.SUCCESS)

    def _act(self) -> Callable[[Dataset], None] | None:
        return {
            (COMMITMENT, dimse.N_ACTION_RQ): self._commit,
            (COMMITMENT, dimse.N_EVENT_REPORT_RQ): self._take_report,
            (MPPS, dimse.N_CREATE_RQ): self._begin_step,
            (MPPS, dimse.N_SET_RQ): self._change_step,
            (IAN, dimse.N_CREATE_RQ): self._note_available,
        }.get((self.command.sop_class_uid, self.command.field))

    def _commit(self, data: Dataset) -> None:
        if self.command.type_id != REQUEST_COMMITMENT:
            raise BadRequestData(f"action type {self.command.type_id}, only 1 is known")
        references = read_references(data.get("ReferencedSOPSequence"))
        if not references:
            raise BadRequestData("no referenced SOP sequence")
        self._inbox.commitments.ask(self._sender, _uid(data, "TransactionUID"), references)

    def _take_report(self, data: Dataset) -> None:
        committed = [instance for _, instance in read_references(data.get("ReferencedSOPSequence"))]
        items = data.get("FailedSOPSequence") or ()
        reasons = [int(item.get("FailureReason", status.PROCESSING_FAILURE)) for item in items]
        failed = [instance for _, instance in read_references(items)]
        transaction = _uid(data, "TransactionUID")
        self._inbox.commitments.note_report(
            self._sender, transaction, committed, list(zip(failed, reasons, strict=True))
        )

    def _begin_step(self, data: Dataset) -> None:
        if (said := data.get("PerformedProcedureStepStatus")) != "IN PROGRESS":
            raise BadRequestData(f"performed procedure step status {said!r}, a step begins IN PROGRESS")
        steps = data.get("ScheduledStepAttributesSequence") or ()
        studies = dict.fromkeys(str(step.StudyInstanceUID) for step in steps if "StudyInstanceUID" in step)
        self._inbox.announcements.begin_step(self.command.sop_instance_uid, list(studies))

    def _change_step(self, data: Dataset) -> None:
        finished = data.get("PerformedProcedureStepStatus", "IN PROGRESS") in OVER
        self._inbox.announcements.change_step(self.command.sop_instance_uid, _made(data), finished=finished)

    def _note_available(self, data: Dataset) -> None:
        series = data.get("ReferencedSeriesSequence") or ()
        instances = [uid for each in series for _, uid in read_references(each.get("ReferencedSOPSequence"))]
        if not instances:
            raise BadRequestData("no referenced SOP sequence")
        self._inbox.announcements.note_available(_uid(data, "StudyInstanceUID"), instances)


def _made(data: Dataset) -> Iterator[str]:
    """Instances that a step made, by its performed series. PS3.3 C.4.15."""
    for series in data.get("PerformedSeriesSequence") or ():
        for name in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
            for _, instance in read_references(series.get(name)):
                yield instance


def _uid(data: Dataset, keyword: str) -> str:
    value = str(data.get(keyword) or "").strip()
    if not value:
        raise BadRequestData(f"no {keyword}")
    return value


def _decode(data: bytearray, syntax: UID) -> Any:
    return read_dataset(
        BytesIO(bytes(data)), syntax.is_implicit_VR, syntax.is_little_endian, bytelength=len(data)
    )
