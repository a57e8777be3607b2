"""One C-STORE or STOW-RS part: streamed to the inbox, and the status that is then true. PS3.4 annex B."""

import logging
import sqlite3
from dataclasses import dataclass

from pacs_gateway import status
from pacs_gateway.arrivals import Outcome
from pacs_gateway.callers import Sender
from pacs_gateway.dimse import Command
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.inbox import Inbox
from pacs_gateway.incoming import Incoming, SopMismatch
from pacs_gateway.spool import NoRoom, TooLarge
from pacs_gateway.storage_classes import is_storage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and what to say of it."""

    status: int
    comment: str = ""
    too_large: bool = False
    """Out of resources, and so it will be the next time."""


class Store:
    """Fed with the fragments of the data set; `finish` says what to answer.

    Args:
        within: the only study that is taken, where the sender named one.
    """

    def __init__(
        self,
        inbox: Inbox,
        association_id: int,
        sender: Sender,
        command: Command,
        transfer_syntax_uid: str,
        *,
        within: str = "",
    ) -> None:
        self.outcome = Outcome.REFUSED
        self._within = within
        self._inbox = inbox
        self._association_id = association_id
        self._sender = sender
        self._command = command
        self._incoming: Incoming | None = None
        self._refused: Answer | None = None
        if not is_storage(command.sop_class_uid):
            self._refused = Answer(status.SOP_CLASS_NOT_SUPPORTED, "not a storage SOP class")
        elif not command.has_data_set:
            self._refused = Answer(status.CANNOT_UNDERSTAND, "C-STORE without a data set")
        else:
            self._open(transfer_syntax_uid)

    @property
    def header(self) -> InstanceHeader | None:
        """Of the instance, as soon as it was read."""
        return None if self._incoming is None else self._incoming.header

    def _open(self, transfer_syntax_uid: str) -> None:
        try:
            self._incoming = self._inbox.incoming(
                self._sender,
                sop_class_uid=self._command.sop_class_uid,
                sop_instance_uid=self._command.sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
            )
        except (NoRoom, OSError) as error:
            self._refused = Answer(status.OUT_OF_RESOURCES, str(error))

    def write(self, fragment: memoryview) -> None:
        """Take a piece of the data set; once refused, the rest is only let pass."""
        if self._incoming is None or self._refused is not None:
            return
        try:
            self._incoming.write(fragment)
        except TooLarge as error:
            self._refused = Answer(status.OUT_OF_RESOURCES, str(error), too_large=True)
        except OSError as error:
            self._refused = Answer(status.OUT_OF_RESOURCES, str(error))

    def finish(self) -> Answer:
        """Make the instance durable and indexed; Success is answered only after both, and then `abandon`."""
        answer = self._refused or self._keep()
        if answer.status != status.SUCCESS:
            self._record(answer)
        return answer

    def abandon(self) -> None:
        """Let go of the working file: what `finish` kept stays, of an instance cut short nothing does."""
        if self._incoming is not None:
            self._incoming.release()
            self._incoming = None

    def _keep(self) -> Answer:
        assert self._incoming is not None
        try:
            study = self._incoming.examine().study_instance_uid
            if self._within not in ("", study):
                return Answer(status.OTHER_STUDY, "StudyInstanceUID is not that of the address")
            self.outcome = self._inbox.keep(self._association_id, self._sender, self._incoming)
        except UnreadableDataSet as error:
            return Answer(status.CANNOT_UNDERSTAND, str(error))
        except SopMismatch as error:
            return Answer(status.DATA_SET_MISMATCH, str(error))
        except (OSError, sqlite3.Error) as error:
            return Answer(status.OUT_OF_RESOURCES, str(error))
        except Exception:  # the association lives on: the sender hears 0x0110 and may send again
            log.exception("an instance could not be handled", extra={"association": self._association_id})
            return Answer(status.PROCESSING_FAILURE, "internal error")
        return Answer(status.SUCCESS)

    def _record(self, refused: Answer) -> None:
        about = {"association": self._association_id, "status": refused.status}
        if refused.status == status.OUT_OF_RESOURCES:
            self.abandon()  # a full disk is no place to keep bytes for diagnosis, and they will come again
        log.warning("instance refused: %s", refused.comment, extra=about)
        try:
            self._inbox.refuse(
                self._association_id,
                sop_instance_uid=self._command.sop_instance_uid,
                status=refused.status,
                reason=refused.comment,
                incoming=self._incoming,
            )
        except (OSError, sqlite3.Error):
            log.exception("a refusal was not recorded", extra=about)
            self.abandon()
