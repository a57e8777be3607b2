"""Data sets from the rows: de-identified, whole, hashed, and versioned; agreement of the readers with it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from labeling.assignment import Design, Reader
from labeling.manifest import read_data_set
from labeling.splits import Part, Shares
from model.stroke import StrokeType
from service.accounts import Role, add_account
from service.assignments import Assignment, assign_cases, last_round, next_case, shares_of
from service.case_images import images_of
from service.case_states import CaseState
from service.cases import Case
from service.data_sets import DataSet, DataSetCase, data_sets, freeze_cases
from service.db import session_scope
from service.errors import AlreadyExists, BadRequest
from service.extents import slice_ranges
from service.reader_agreement import figures, pairs
from service.reads import save_label
from service.storage import FolderStorage
from tests.service.labelling import BLEED, IMAGES, KEY, ML, NORMAL, entered, given_out, reader, with_images

ALL_TRAIN = Shares(calibration=0, test=0)
SINGLE = Design(common=0, double_share=0, rereads=0)


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "storage")


def campaign(engine: Engine, storage: FolderStorage, folder: Path, cases: int = 3) -> None:
    """Cases with images, given out to one reader, who reads all but the last."""
    with session_scope(engine) as session:
        for n in range(1, cases + 1):
            with_images(session, storage, folder, n)
        add_account(session, "r1", Role.RADIOLOGIST)
        assign_cases(session, ML, [Reader("r1")], SINGLE, ALL_TRAIN)
        for _ in range(cases - 1):
            turn = next_case(session, reader("r1"))
            assert turn is not None
            images = images_of(session, session.get_one(Case, turn.case_id), storage, KEY)
            assert (len(images.sop_uids), images.rows) == (4, 64)
            save_label(session, reader("r1"), turn.id, entered(NORMAL), images)


class TestFreeze:
    def test_settled_cases_become_a_data_set_without_the_patient(
        self, engine: Engine, storage: FolderStorage, tmp_path: Path
    ) -> None:
        campaign(engine, storage, tmp_path / "sent")
        made = freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="research only")
        found = read_data_set(tmp_path / "r8-v1")
        assert (found.digest, made.studies, len(found.rows)) == (made.digest, 2, 2)
        assert {row.split for row in found.rows} == {Part.TRAIN}
        (said,) = found.rows[0].readers
        assert (said["id"], said["labels"]["any_ich"], said["slice_ranges"]) == ("reader-1", 0, {})
        assert all(len(row.files) == 4 and row.labels[StrokeType.ANY_ICH] == 0 for row in found.rows)
        whole = b"".join(path.read_bytes() for path in (tmp_path / "r8-v1").rglob("*") if path.is_file())
        for secret in (b"Secret", b"ACC1", b"HN-77", b"1.2.101", b'"r1"'):
            assert secret not in whole
        assert b"Agreed: 2" in (tmp_path / "r8-v1" / "flow.svg").read_bytes()
        with session_scope(engine, write=False) as session:
            states = list(session.scalars(select(Case.state).order_by(Case.id)))
            assert sorted(states) == [CaseState.ASSIGNED, CaseState.FROZEN, CaseState.FROZEN]
            assert len(session.scalars(select(DataSetCase)).all()) == 2
            assert [each.name for each in data_sets(session)] == ["r8"]
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_a_simulated_set_says_so_in_every_row_and_on_its_sheet(
        self, engine: Engine, storage: FolderStorage, tmp_path: Path
    ) -> None:
        campaign(engine, storage, tmp_path / "sent")
        for name, simulated in (("real", False), ("made", True)):
            freeze_cases(
                engine, ML, storage, KEY, tmp_path, name, ALL_TRAIN, licence="any", simulated=simulated
            )
            found = read_data_set(tmp_path / f"{name}-v1")
            assert {row.source for row in found.rows} == {"simulated" if simulated else "real"}
            assert found.about.get("simulated", False) is simulated
            sheet = (tmp_path / f"{name}-v1" / "DATASHEET.md").read_text()
            assert ("**Simulated.**" in sheet) is simulated

    def test_a_folder_left_by_a_crash_is_taken_up_again(
        self, engine: Engine, storage: FolderStorage, tmp_path: Path
    ) -> None:
        campaign(engine, storage, tmp_path / "sent")
        first = freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x")
        with session_scope(engine) as session:  # as if the rows had never been written
            for row in session.scalars(select(DataSetCase)):
                session.delete(row)
            session.flush()
            session.delete(session.get_one(DataSet, first.id))
        again = freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x")
        assert again.digest == first.digest
        second = freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x")
        assert (second.version, second.digest != first.digest) == (2, True)

    def test_a_freeze_cut_short_goes_on_with_what_it_has_made(
        self, engine: Engine, storage: FolderStorage, tmp_path: Path
    ) -> None:
        campaign(engine, storage, tmp_path / "sent", cases=4)
        scratch = tmp_path / ".anonymous-r8-v1"

        def images() -> dict[str, int]:
            return {path.name: path.stat().st_mtime_ns for path in scratch.rglob("*.dcm")}

        def freeze(told: Callable[[int, int], object]) -> DataSet:
            return freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x", told=told)

        def cut(done: int, total: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            freeze(cut)
        first = images()
        assert len(first) == 8
        half = tmp_path / ".r8-v1.12345678"  # as a try leaves it that was killed while it copied
        half.mkdir()
        damaged = next(scratch.rglob("*.dcm"))
        damaged.write_bytes(b"")  # as after a power cut
        seen: list[dict[str, int]] = []
        freeze(lambda done, total: seen.append(images()))
        taken = {name for name, at in first.items() if seen[-1][name] == at}
        assert len(taken) == 4
        assert damaged.name not in taken
        found = read_data_set(tmp_path / "r8-v1")
        assert sum(len(row.files) for row in found.rows) == 12
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_two_at_once_are_refused(self, engine: Engine, storage: FolderStorage, tmp_path: Path) -> None:
        campaign(engine, storage, tmp_path / "sent", cases=2)

        def second(done: int, total: int) -> None:
            with pytest.raises(AlreadyExists, match="r8-v1 is being frozen"):
                freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x")

        freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x", told=second)

    @pytest.mark.parametrize("name", ["R8", "", "a b", "../x", "-" * 61])
    def test_a_name_that_is_none_is_refused(
        self, engine: Engine, storage: FolderStorage, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(BadRequest, match="is no name"):
            freeze_cases(engine, ML, storage, KEY, tmp_path, name, ALL_TRAIN, licence="x")

    def test_nothing_settled_is_said(self, engine: Engine, storage: FolderStorage, tmp_path: Path) -> None:
        with pytest.raises(BadRequest, match="no case is agreed or adjudicated"):
            freeze_cases(engine, ML, storage, KEY, tmp_path, "r8", ALL_TRAIN, licence="x")


class TestAgreement:
    def test_figures_and_pairs_tell_who_differs(self, session: Session) -> None:
        given_out(session, 6, design=Design(common=6, rereads=1, reread_gap=1), shares=ALL_TRAIN)
        for name, label in (("r1", NORMAL), ("r2", NORMAL), ("r3", BLEED)):
            while turn := next_case(session, reader(name)):
                save_label(session, reader(name), turn.id, entered(label), IMAGES)
        found = {(asked, each.coefficient): each for asked, each in figures(session)}
        blood = found["any_ich", "gwet_ac1"]
        assert (blood.cases, blood.observed) == (6, pytest.approx(1 / 3))
        assert blood.prevalence["present"] == pytest.approx(1 / 3)
        assert found["aspects", "krippendorff_alpha_ordinal"].undefined == "no_overlap"
        rows = {(pair.first, pair.second): pair for pair in pairs(session, "any_ich")}
        assert rows["r1", "r2"].ac1.value == 1
        assert (rows["r1", "r3"].kappa.value, rows["r1", "r3"].kappa.observed) == (0, 0)
        assert rows["r3", "r3"].ac1.cases == 1
        assert all(session.scalars(select(Assignment.done_at)))

    def test_a_round_remembers_how_it_is_parted(self, session: Session) -> None:
        given_out(session, 6, shares=Shares(("10671",), 2, 0.1, 0.1), design=Design(common=0, rereads=0))
        assert shares_of(last_round(session)) == Shares(("10671",), 2, 0.1, 0.1)
        assert shares_of(None) == Shares()


def test_slice_ranges_are_one_readers_or_the_adjudicators() -> None:
    few, many = entered(replace(BLEED, extents=BLEED.extents[:1])), entered(BLEED)
    assert slice_ranges([few, many], None) == {
        StrokeType.IPH: [("1.2.3", "1.2.6")],
        StrokeType.IVH: [("1.2.4", "1.2.4")],
    }
    assert list(slice_ranges([many], few)) == [StrokeType.IPH]
    assert slice_ranges([], None) == {}
