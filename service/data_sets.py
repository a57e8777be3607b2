"""DataSet: what was frozen, when, by whom and from which cases; its folder is never changed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ForeignKey, String, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from labeling import manifest
from labeling.datasheet import datasheet
from labeling.flow import Flow, flow_svg, plain_flow
from labeling.labels import Label
from labeling.manifest import Row
from labeling.splits import Part, Shares
from pacs_gateway.pseudonyms import Key
from service import audit
from service.accounts import Viewer
from service.adjudications import consensus_of
from service.anonymous import AnonymousFiles, anonymous_files
from service.case_facts import hours_to_ct
from service.case_identities import case_name, parts_of, patients_of
from service.case_images import slices_of
from service.case_states import SETTLED, CaseState, CaseVerb
from service.cases import Case, flow_of, move_case
from service.data_set_reads import keep_masks, plain_read, reads_with_masks
from service.db import Base, Id, UtcDateTime, locked, now, session_scope, words
from service.errors import AlreadyExists, BadRequest, NotFound
from service.extents import slice_ranges
from service.masks import masks_of
from service.painted import painted
from service.reader_agreement import figures
from service.reads import parse_label
from service.series import storage_keys
from service.storage import Storage
from service.studies import Study

HELD_ELSEWHERE = "patient held out by another case"
UNREADABLE = "not diagnostic, as most readers found"
NO_IMAGES = "no image may leave care"
SIMULATED = "simulated"


class DataSet(Base):
    """One frozen data set."""

    __tablename__ = "data_sets"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    version: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 of its dataset.json."""
    folder: Mapped[str] = mapped_column(Text)
    studies: Mapped[int]
    about: Mapped[dict[str, Any]]
    made_by: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class DataSetCase(Base):
    """One case of a data set, in the part where it lies, or left out."""

    __tablename__ = "data_set_cases"

    data_set_id: Mapped[int] = mapped_column(ForeignKey("data_sets.id"), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    part: Mapped[Part] = mapped_column(words(Part))


@dataclass(frozen=True, slots=True)
class _Member:
    """A case on its way into a data set."""

    case_id: int
    hcode: str
    keys: list[str]
    labels: list[Label]
    """The adjudicator's first, then the readers' in the order of the row's readers."""
    uids: list[str]
    """The slices that labels speak of, bottom to top, by their pseudonyms."""
    row: Row


def freeze_cases(
    engine: Engine,
    viewer: Viewer,
    storage: Storage,
    key: Key,
    place: Path,
    name: str,
    shares: Shares,
    *,
    licence: str,
    simulated: bool = False,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> DataSet:
    """Freeze every settled case as the next version of a data set, in PLACE/NAME-vN.

    Files are read and made anonymous with no lock on the rows; the rows change once the folder is whole.
    After a crash the same call goes on: with the images that were made anonymous, or with the whole folder.

    Args:
        engine: The database.
        viewer: Who freezes.
        storage: Where the studies' files are.
        key: The secret behind the pseudonyms.
        place: A folder that is there.
        name: Lower-case letters, digits and hyphens.
        shares: How it is parted.
        licence: Under which it may be used.
        simulated: Every row, the sheet and dataset.json say that it is.
        told: Is told, after each study, how many are made anonymous, of how many.

    Raises:
        BadRequest: no settled case, a name that is none, or shares that make no sense.
        AlreadyExists: it was frozen meanwhile, or is being frozen at this moment.
    """
    check_name(name)
    with session_scope(engine, write=False) as session:
        version = (session.scalar(select(func.max(DataSet.version)).where(DataSet.name == name)) or 0) + 1
        members, suspects = _members(session, shares, key)
        flow, agreements = flow_of(session, viewer), figures(session)
    if not members:
        raise BadRequest("no case is agreed or adjudicated, so there is nothing to freeze")
    folder = place / f"{name}-v{version}"
    with anonymous_files(place, folder.name, storage, key) as anonymous:
        files: dict[str, Path] = {}
        for at, each in enumerate(members):
            members[at] = _with_files(each, storage, anonymous, files)
            if simulated:
                members[at] = replace(members[at], row=replace(members[at].row, source=SIMULATED))
            told(at + 1, len(members))
        rows = [each.row for each in members]
        if not any(row.files for row in rows):
            raise BadRequest("no image of any settled case may leave care")
        whole = _whole_flow(flow, rows)
        about = {
            "name": name,
            "version": version,
            "licence": licence,
            "shares": asdict(shares),
            "flow": plain_flow(whole),
            **({"simulated": True} if simulated else {}),
        }
        sheet = datasheet(
            name, version, rows, whole, shares, licence=licence, agreements=agreements, suspects=suspects
        )
        try:
            digest = manifest.freeze(folder, rows, about, files, sheet=sheet, picture=flow_svg(whole))
        except ValueError as error:
            raise BadRequest(f"the data set cannot be frozen: {error}") from error
    with session_scope(engine) as session:
        return _record(session, viewer, members, about, digest, folder)


def place_of(data: Path) -> Path:
    """Where the hub puts the data sets that it freezes by itself."""
    return data / "datasets"


def check_name(name: str) -> None:
    """Refuse what is no name of a data set.

    Raises:
        BadRequest: it is none.
    """
    if not name.replace("-", "").isalnum() or name != name.lower() or not name.isascii() or len(name) > 60:
        raise BadRequest(
            f"{name!r} is no name of a data set: lower-case letters, digits and hyphens, up to 60"
        )


def find_data_set(session: Session, number: int) -> DataSet:
    """The data set of this number.

    Raises:
        NotFound: there is none.
    """
    if found := session.get(DataSet, number):
        return found
    raise NotFound(f"no data set has the number {number}")


def data_sets(session: Session) -> Sequence[DataSet]:
    """Every data set, the newest first."""
    return session.scalars(select(DataSet).order_by(DataSet.id.desc())).all()


def _members(session: Session, shares: Shares, key: Key) -> tuple[list[_Member], int]:
    patients = patients_of(session)
    parts = parts_of(session, shares, patients.group_of)
    cases = session.execute(
        select(Case, Study)
        .join(Study, Study.id == Case.study_id)
        .where(Case.state.in_(SETTLED))
        .order_by(Case.id)
    )
    members = []
    for case, study in cases:
        consensus, reads, decided = consensus_of(session, case.id)
        part, reason = parts[case.id], None
        if part is Part.LEFT_OUT:
            reason = HELD_ELSEWHERE
        elif consensus.unreadable:
            part, reason = Part.LEFT_OUT, UNREADABLE
        row = Row(
            study_key=f"case-{case_name(case.id)}",
            patient_key=patients.group_of[case_name(case.id)],
            hospital=case.hcode or "",
            split=part,
            labels=consensus.labels,
            soft_labels=consensus.soft,
            slice_ranges=slice_ranges([read.label for read in reads], decided.label if decided else None),
            # no month: beside the shifted dates of the images it would tell by how much they were shifted
            onset_to_ct_h=hours_to_ct(session, case.onset, study),
            readers=[plain_read(at, read) for at, read in enumerate(reads, 1)],
            adjudicated=decided is not None,
            exclude_reason=reason,
        )
        labels = [parse_label(each.label) for each in ([decided] if decided else []) + list(reads)]
        slices = slices_of(session, case) if any(map(masks_of, labels)) else []
        uids = [key.uid(each.sop_instance_uid) for each in slices]
        keys = storage_keys(session, study.id)
        members.append(_Member(case.id, case.hcode or "", keys, labels, uids, row))
    return members, len(patients.suspects)


def _with_files(
    member: _Member, storage: Storage, anonymous: AnonymousFiles, files: dict[str, Path]
) -> _Member:
    """The case with its files made anonymous; one of which no image may leave is left out."""
    if member.row.exclude_reason:
        return member
    case = member.row.study_key
    own = {**anonymous.of(case, member.keys, member.hcode)}
    if not own:
        row = replace(member.row, split=Part.LEFT_OUT, exclude_reason=NO_IMAGES)
        return replace(member, row=row)
    mask_path, stem = None, anonymous.folder / case
    if found := painted(member.labels, member.uids, storage):
        mask_path = f"{manifest.MASKS}{case}.npz"
        own[mask_path] = keep_masks(found, stem.with_name(f"{case}.npz"))
    readers, masks = reads_with_masks(member.row.readers, member.labels, member.uids, storage, stem)
    own |= masks
    files |= {name: each.path for name, each in own.items()}
    hashes = {name: each.digest for name, each in own.items()}
    return replace(member, row=replace(member.row, files=hashes, mask_path=mask_path, readers=readers))


def _whole_flow(flow: Flow, rows: Sequence[Row]) -> Flow:
    left = Counter(row.exclude_reason for row in rows if row.exclude_reason)
    parts = Counter(row.split for row in rows if not row.exclude_reason)
    return replace(
        flow,
        left_out=dict(sorted(left.items())),
        parts={part: parts[part] for part in Part if parts[part]},
    )


def _record(
    session: Session,
    viewer: Viewer,
    members: Sequence[_Member],
    about: Mapping[str, Any],
    digest: str,
    folder: Path,
) -> DataSet:
    known = session.scalar(
        select(DataSet).where(DataSet.name == about["name"], DataSet.version == about["version"])
    )
    if known is not None:
        raise AlreadyExists(f"{known.name} v{known.version} was frozen meanwhile")
    used = [each for each in members if each.row.split is not Part.LEFT_OUT]
    made = DataSet(
        name=about["name"],
        version=about["version"],
        digest=digest,
        folder=str(folder),
        studies=len(used),
        about=dict(about),
        made_by=viewer.username,
    )
    session.add(made)
    session.flush()
    session.add_all(DataSetCase(data_set_id=made.id, case_id=m.case_id, part=m.row.split) for m in members)
    numbers = [each.case_id for each in used]
    for case in session.scalars(locked(select(Case).where(Case.id.in_(numbers)).order_by(Case.id))):
        move_case(case, CaseVerb.FREEZE, CaseState.FROZEN)
    session.flush()
    detail: audit.Detail = {"data_set": made.id, "studies": len(used), "digest": digest}
    audit.record(session, viewer.username, "data_set.freeze", detail=detail)
    return made
