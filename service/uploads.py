"""Upload: a file of images that somebody brings to the hub over a line that may break, and what became of it.

The protocol is tus 1.0.0 (https://tus.io/protocols/resumable-upload). How many bytes are here is what the
file on disk says; a row says whose it is. Its name is as the person's computer had it, may name a patient,
and is shown to people of that hospital alone.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from service import audit
from service.accounts import Viewer, visible_to
from service.db import Base, Id, UtcDateTime, locked, now, words
from service.errors import BadRequest, NotAllowed, NotFound, TooLarge
from service.studies import Study

LARGEST = 20_000_000_000
"""Bytes of one file: a zip of some hundred studies."""
LONGEST_NAME = 1000
MOST_OPEN = 20_000
"""Files that one hospital may have begun and not ended: about sixty studies of single files."""
KEPT_FOR = timedelta(days=7)
"""How long an upload that nobody goes on with is kept."""
PAGE = 200


class UploadState(StrEnum):
    """Where an upload stands."""

    ARRIVING = "arriving"
    WAITING = "waiting"
    """All bytes are here; nobody has looked into them yet."""
    DONE = "done"
    """Every file in it has a verdict."""
    FAILED = "failed"
    """It could not be opened; the reason says why."""


class FileVerdict(StrEnum):
    """What became of one file."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REFUSED = "refused"


class Upload(Base):
    """One file on its way."""

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_hcode_state_id", "hcode", "state", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token: Mapped[str] = mapped_column(String(32), unique=True)
    """Names it in addresses and on disk."""
    hcode: Mapped[str] = mapped_column(ForeignKey("hospitals.hcode"))
    username: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[UploadState] = mapped_column(words(UploadState), default=UploadState.ARRIVING)
    reason: Mapped[str] = mapped_column(Text, default="")
    kept: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UploadedFile(Base):
    """One file of an upload, and what became of it."""

    __tablename__ = "uploaded_files"
    __table_args__ = (Index("ix_uploaded_files_upload_id_id", "upload_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    upload_id: Mapped[int] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    """Within the zip; the upload's own where it is no zip."""
    verdict: Mapped[FileVerdict] = mapped_column(words(FileVerdict))
    reason: Mapped[str] = mapped_column(Text, default="")
    study_instance_uid: Mapped[str] = mapped_column(Text, default="")


def begin_upload(session: Session, viewer: Viewer, *, name: str, size: int) -> Upload:
    """Announce a file.

    Raises:
        NotAllowed: the account belongs to no hospital, so nobody could tell whose patients these are.
        BadRequest: no name or no bytes, or too many begun.
        TooLarge: more bytes than one file may have.
    """
    if viewer.hcode is None:
        raise NotAllowed("this account belongs to no hospital, so nobody could tell whose patients these are")
    if size > LARGEST:
        raise TooLarge(f"the file has {size} bytes; {LARGEST} is the most")
    if size < 1 or not 1 <= len(name) <= LONGEST_NAME:
        raise BadRequest(f"a file has a name of 1 to {LONGEST_NAME} characters and at least one byte")
    begun = select(func.count()).where(Upload.hcode == viewer.hcode, Upload.state == UploadState.ARRIVING)
    if session.scalar(begun) >= MOST_OPEN:  # type: ignore[operator]
        raise BadRequest(f"{MOST_OPEN} files of this hospital are begun and not ended; end some of them")
    upload = Upload(
        token=secrets.token_hex(16), hcode=viewer.hcode, username=viewer.username, name=name, size=size
    )
    session.add(upload)
    session.flush()
    audit.record(session, viewer.username, "upload.begin", detail={"upload": upload.id, "size": size})
    return upload


def find_upload(session: Session, viewer: Viewer, token: str) -> Upload:
    """The upload of this token.

    Raises:
        NotFound: there is none that the viewer may see.
    """
    found = session.scalar(select(Upload).where(Upload.token == token, visible_to(viewer, Upload.hcode)))
    if found is None:
        raise NotFound("there is no such upload")
    return found


def list_uploads(
    session: Session, viewer: Viewer, *, before: int | None = None, state: UploadState | None = None
) -> Sequence[Upload]:
    """The viewer's uploads, newest first."""
    query = select(Upload).where(visible_to(viewer, Upload.hcode)).order_by(Upload.id.desc()).limit(PAGE)
    if before is not None:
        query = query.where(Upload.id < before)
    if state is not None:
        query = query.where(Upload.state == state)
    return session.scalars(query).all()


def files_of(session: Session, upload: Upload, *, after: int = 0) -> Sequence[UploadedFile]:
    """What became of each file of an upload, in its order; pages of 200."""
    query = select(UploadedFile).where(UploadedFile.upload_id == upload.id, UploadedFile.id > after)
    return session.scalars(query.order_by(UploadedFile.id).limit(PAGE)).all()


def note_whole(session: Session, upload_id: int) -> None:
    """All bytes are on disk: somebody may look into them. Twice does no harm."""
    upload = session.scalars(locked(select(Upload).where(Upload.id == upload_id))).one()
    if upload.state is UploadState.ARRIVING:
        upload.state = UploadState.WAITING


def waiting_uploads(session: Session, *, limit: int = 50) -> list[int]:
    """Those that wait for somebody to look into them, oldest first."""
    query = select(Upload.id).where(Upload.state == UploadState.WAITING).order_by(Upload.id).limit(limit)
    return list(session.scalars(query))


def end_upload(
    session: Session, upload_id: int, files: Sequence[UploadedFile], *, failed: str = ""
) -> Upload:
    """Write down what became of every file, or why the upload could not be opened."""
    upload = session.scalars(locked(select(Upload).where(Upload.id == upload_id))).one()
    session.execute(delete(UploadedFile).where(UploadedFile.upload_id == upload_id))
    session.add_all(files)
    upload.state = UploadState.FAILED if failed else UploadState.DONE
    upload.reason, upload.ended_at = failed, now()
    upload.refused = sum(each.verdict is FileVerdict.REFUSED for each in files)
    upload.kept = len(files) - upload.refused
    detail: audit.Detail = {"upload": upload_id, "kept": upload.kept, "refused": upload.refused}
    audit.record(session, upload.username, "upload.end", detail=detail)
    return upload


def remove_upload(session: Session, viewer: Viewer, upload: Upload) -> None:
    """Forget an upload that has not ended.

    Raises:
        BadRequest: all its bytes are here already.
    """
    if upload.state is not UploadState.ARRIVING:
        raise BadRequest("all bytes of this upload are here; what was taken stays")
    session.delete(upload)
    audit.record(session, viewer.username, "upload.remove", detail={"upload": upload.id})


def expired_uploads(session: Session) -> Sequence[Upload]:
    """Those that nobody has gone on with for a week."""
    old = (Upload.state == UploadState.ARRIVING, Upload.created_at < now() - KEPT_FOR)
    return session.scalars(select(Upload).where(*old).limit(PAGE)).all()


@dataclass(frozen=True, slots=True)
class Brought:
    """What a hospital's people brought of late."""

    arriving: int
    waiting: int
    kept: int
    """Files."""
    refused: int
    refusals: Sequence[tuple[str, str]]
    """Name and reason, the newest first; uploads that could not be opened among them."""
    studies: Sequence[str]
    """Study Instance UIDs, the newest first."""


def brought(session: Session, viewer: Viewer, since: datetime) -> Brought:
    """What the viewer's hospital brought since then."""
    mine = (visible_to(viewer, Upload.hcode), Upload.created_at >= since)
    rows = session.execute(select(Upload.state, func.count()).where(*mine).group_by(Upload.state))
    counts = {state: count for state, count in rows}
    kept, refused = session.execute(
        select(func.coalesce(func.sum(Upload.kept), 0), func.coalesce(func.sum(Upload.refused), 0)).where(
            *mine
        )
    ).one()
    files = select(UploadedFile).join(Upload, Upload.id == UploadedFile.upload_id).where(*mine)
    bad = files.where(UploadedFile.verdict == FileVerdict.REFUSED).order_by(UploadedFile.id.desc())
    unopened = select(Upload).where(*mine, Upload.state == UploadState.FAILED).order_by(Upload.id.desc())
    newest = func.max(UploadedFile.id)
    studies = (
        select(UploadedFile.study_instance_uid)
        .join(Upload, Upload.id == UploadedFile.upload_id)
        .where(*mine, UploadedFile.study_instance_uid != "")
        .group_by(UploadedFile.study_instance_uid)
        .order_by(newest.desc())
        .limit(PAGE)
    )
    return Brought(
        arriving=counts.get(UploadState.ARRIVING, 0),
        waiting=counts.get(UploadState.WAITING, 0),
        kept=kept,
        refused=refused,
        refusals=[(each.name, each.reason) for each in session.scalars(unopened.limit(PAGE))]
        + [(each.name, each.reason) for each in session.scalars(bad.limit(PAGE))],
        studies=session.scalars(studies).all(),
    )


def studies_brought(session: Session, viewer: Viewer, found: Brought) -> list[Study]:
    """Those of the studies that the hub has taken by now, in the same order; others are not complete yet."""
    query = select(Study).where(Study.study_instance_uid.in_(found.studies), visible_to(viewer, Study.hcode))
    known = {study.study_instance_uid: study for study in session.scalars(query)}
    return [known[uid] for uid in found.studies if uid in known]
