"""The million studies of the benchmark: fewer of them, and as the hub itself would have written them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.region import FIRST, fill
from service.accounts import OPERATOR, Role, Viewer
from service.db import make_engine, session_scope
from service.flags import flags_of
from service.patient_search import find_patients
from service.states import StudyState, place_of
from service.worklist import worklist
from tests.service.factories import UDON

NUMBER = 3000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("region") / "hub.sqlite"
    fill(f"sqlite:///{path}", NUMBER)
    return path


def test_what_was_left_out_for_speed_is_there_again(filled: Path, template: str) -> None:
    def parts(path: Path | str) -> set[tuple[str, str]]:
        with closing(sqlite3.connect(path)) as connection:
            return set(connection.execute("SELECT type, name FROM sqlite_master"))

    if not template.endswith(".sqlite"):
        pytest.skip("about SQLite")
    assert parts(filled) == parts(template)


def test_every_study_lies_where_the_hub_would_have_put_it(filled: Path) -> None:
    engine = make_engine(f"sqlite:///{filled}")
    with session_scope(engine, write=False) as session:
        page = worklist(session, OPERATOR, limit=200)
        flags = flags_of(session, [study.id for study in page.studies])
    engine.dispose()
    assert [each.place for each in page.studies] == sorted(each.place for each in page.studies)
    for study in page.studies:
        reviewed = study.reviewed_at is not None
        received = study.first_received_at
        assert study.place == place_of(study.state, study.lane, study.priority, received, reviewed=reviewed)
        assert bool(flags[study.id]) == (study.state is StudyState.FLAGGED)


def test_people_are_found_and_only_those_who_may_be_seen(filled: Path) -> None:
    engine = make_engine(f"sqlite:///{filled}")
    with session_scope(engine, write=False) as session:
        someone = find_patients(session, OPERATOR, "จันทร์")[0]
        assert someone.id >= FIRST
        assert someone in find_patients(session, OPERATOR, someone.patient_id)
        own = find_patients(session, Viewer("t", Role.TECHNICIAN, UDON), "จันทร์")
    engine.dispose()
    assert {each.hcode for each in own} == {UDON}


def test_a_copy_holds_the_same_studies(filled: Path, tmp_path: Path) -> None:
    fill(f"sqlite:///{tmp_path / 'copy.sqlite'}", NUMBER, source=filled)
    query = "SELECT count(*), sum(place), max(patient_name) FROM studies"
    with (
        closing(sqlite3.connect(filled)) as one,
        closing(sqlite3.connect(tmp_path / "copy.sqlite")) as other,
    ):
        assert one.execute(query).fetchone() == other.execute(query).fetchone()
