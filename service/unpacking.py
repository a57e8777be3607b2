"""Unpacking: a whole upload is opened, and each file in it goes to the inbox or is refused with a reason."""

import logging
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.elements import UnreadableDataSet
from pacs_gateway.headers import read_header
from pacs_gateway.inbox import Inbox
from pacs_gateway.part10 import NotPart10
from pacs_gateway.spool import NoRoom
from service.arrivals import PORTAL
from service.db import session_scope
from service.failures import Failure
from service.steps import Argument, Step, Transient
from service.upload_files import UploadFiles
from service.uploads import FileVerdict, Upload, UploadedFile, UploadState, end_upload

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 4 * 3600.0
LARGEST_MEMBER: Final = 2_000_000_000
"""Bytes of one file in a zip: a CT of thousands of slices in one object."""
MOST_TIMES: Final = 100
"""A file in a zip that grows more than this is made to fill the disk; images grow two to five times."""
MOST_FILES: Final = 200_000
NOT_READ: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What a member of a zip is refused for: damaged, in an unknown method, or encrypted (a RuntimeError)."""


class Unpacking:
    """Opens uploads.

    Args:
        engine: The rows.
        inbox: Where images go; opened when the first upload comes.
        files: The uploads' bytes.
        ae_title: The hub's own.
    """

    def __init__(
        self, engine: Engine, inbox: Callable[[], Inbox], files: UploadFiles, *, ae_title: str
    ) -> None:
        self._engine = engine
        self._inbox = inbox
        self._files = files
        self._ae_title = ae_title

    def steps(self) -> tuple[Step, ...]:
        """The steps of the job `UNPACK`."""
        return (Step(self.unpack, attempts=6, first_wait=5.0, timeout=TIMEOUT_S),)

    def give_up(self, failure: Failure) -> None:
        """Say on the upload that it could not be opened; its bytes stay for another try."""
        with session_scope(self._engine) as session:
            end_upload(
                session, failure.argument["upload"], [], failed=f"{failure.step}: {failure.error}"[:500]
            )

    def unpack(self, argument: Argument) -> None:
        """Give every file of one upload a verdict. Done again, what was stored before is a duplicate."""
        with session_scope(self._engine, write=False) as session:
            upload = session.get(Upload, argument["upload"])
            if upload is None or upload.state is UploadState.DONE:
                return
            token, name, hcode = upload.token, upload.name, upload.hcode
        sender = Sender(calling_ae=PORTAL, called_ae=self._ae_title, address="", hcode=hcode)
        inbox = self._inbox()
        association = inbox.open_association(sender)
        try:
            found = list(self._look(self._files.path(token), name, inbox, sender, association))
        except NoRoom as error:
            raise Transient(str(error)) from None
        finally:
            inbox.close_association(association, Ending.RELEASED)
        for each in found:
            each.upload_id = argument["upload"]
        with session_scope(self._engine) as session:
            end_upload(session, argument["upload"], found)
        self._files.remove(token)
        refused = sum(each.verdict is FileVerdict.REFUSED for each in found)
        log.info("upload taken", extra=argument | {"files": len(found), "refused": refused})

    def _look(
        self, path: Path, name: str, inbox: Inbox, sender: Sender, association: int
    ) -> Iterator[UploadedFile]:
        if not zipfile.is_zipfile(path):
            yield _take(path, name, inbox, sender, association)
            return
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            members = [each for each in archive.infolist() if not each.is_dir()]
            for number, member in enumerate(members):
                reason = _refusal(member) if number < MOST_FILES else f"a zip has {MOST_FILES} files at most"
                taken = Path(scratch) / "member"
                if not reason:
                    try:
                        with archive.open(member) as source, taken.open("wb") as target:
                            shutil.copyfileobj(source, target, 1 << 20)
                    except NOT_READ as error:
                        reason = f"damaged or locked in the zip: {error}"
                if reason:
                    yield _refused(member.filename, reason)
                else:
                    yield _take(taken, member.filename, inbox, sender, association)


def _take(path: Path, name: str, inbox: Inbox, sender: Sender, association: int) -> UploadedFile:
    try:
        outcome = inbox.add_part10(path, sender, association_id=association)
        study = read_header(path).study_instance_uid
    except NoRoom:
        raise
    except NotPart10:
        return _refused(name, "no DICOM file")
    except UnreadableDataSet as error:
        return _refused(name, f"damaged: {error}")
    except ValueError as error:
        return _refused(name, str(error))
    return UploadedFile(name=name[:1000], verdict=FileVerdict(outcome.value), study_instance_uid=study)


def _refusal(member: zipfile.ZipInfo) -> str:
    """Why a member is not even opened; empty where nothing speaks against it."""
    if Path(member.filename).name.upper() == "DICOMDIR":
        return "a DICOMDIR lists images and holds none"
    if member.filename.lower().endswith((".zip", ".rar", ".7z")):
        return "a packed file in a packed file; unpack it first"
    if member.file_size > LARGEST_MEMBER:
        return f"{member.file_size} bytes; {LARGEST_MEMBER} is the most"
    if member.file_size > MOST_TIMES * max(member.compress_size, 1024):
        return f"it would grow more than {MOST_TIMES} times"
    return ""


def _refused(name: str, reason: str) -> UploadedFile:
    return UploadedFile(name=name[:1000], verdict=FileVerdict.REFUSED, reason=reason[:500])
