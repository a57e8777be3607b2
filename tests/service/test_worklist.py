"""The worklist: the right order, every study once, and an index for every way of asking."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import OPERATOR, Role, Viewer
from service.db import make_engine, session_scope
from service.findings import analysis_of, findings_of
from service.flags import flags_of
from service.reviews import review_finding, reviews_of
from service.series import series_of
from service.sight import find_study
from service.states import StudyState
from service.studies import supersede
from service.verdicts import Verdict
from service.worklist import WorklistPage, count_by_state, worklist
from tests.service.crowd import crowd
from tests.service.factories import LOEI, RECEIVED, UDON, analysed, registered

SAH, SDH = StrokeType.SAH, StrokeType.SDH


def later(hours: int) -> dict[str, Any]:
    return {"received": RECEIVED + timedelta(hours=hours)}


def uids(page: WorklistPage) -> list[str]:
    return [study.study_instance_uid for study in page.studies]


@pytest.fixture
def ten(session: Session) -> Session:
    """Uids say what to expect: the order of the worklist is the order of the numbers."""
    analysed(session, "1", SAH, **later(5))
    analysed(session, "2", SDH, **later(3))
    analysed(session, "3", SAH, SDH, hcode=LOEI, **later(1))
    registered(session, "4", **later(9))
    analysed(session, "5", hcode=LOEI, **later(8))
    reviewed = analysed(session, "6", SAH, **later(7))
    review_finding(session, reviewed, OPERATOR, Verdict.AGREE)
    analysed(session, "7", hcode=None, **later(4))
    analysed(session, "8", **later(2))
    supersede(session, analysed(session, "9", SAH))
    return session


class TestOrder:
    def test_unread_flags_then_all_else_newest_first(self, ten: Session) -> None:
        assert uids(worklist(ten, OPERATOR)) == list("12345678")

    def test_pages_hold_every_study_once(self, ten: Session) -> None:
        after, seen = None, []
        for _ in range(9):
            page = worklist(ten, OPERATOR, after=after, limit=2)
            seen += uids(page)
            after = page.next
            if after is None:
                break
        assert seen == list("12345678")

    def test_a_study_that_arrives_between_two_pages_moves_nothing(self, ten: Session) -> None:
        page = worklist(ten, OPERATOR, limit=4)
        analysed(ten, "0", SAH, **later(10))
        assert uids(worklist(ten, OPERATOR, after=page.next)) == list("5678")

    def test_the_last_page_says_so(self, ten: Session) -> None:
        assert worklist(ten, OPERATOR, limit=8).next is None
        assert worklist(ten, OPERATOR, limit=7).next is not None


class TestFilters:
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"hcode": LOEI}, "35"),
            ({"state": StudyState.FLAGGED}, "1236"),
            ({"state": StudyState.SUPERSEDED}, "9"),
            ({"state": StudyState.CLEAR, "hcode": UDON}, "8"),
            ({"finding": SAH}, "136"),
            ({"finding": SDH, "hcode": LOEI}, "3"),
            ({"finding": StrokeType.EDH}, ""),
            ({"finding": SAH, "state": StudyState.READY}, ""),
            ({"finding": SAH, "state": StudyState.FLAGGED, "hcode": LOEI}, "3"),
            ({"since": RECEIVED + timedelta(hours=4)}, "14567"),
            ({"since": RECEIVED + timedelta(hours=4), "finding": SAH}, "16"),
            ({"since": RECEIVED + timedelta(days=1)}, ""),
            ({"since": RECEIVED, "state": StudyState.SUPERSEDED}, "9"),
        ],
    )
    def test_only_what_was_asked_for(self, ten: Session, filters: dict[str, Any], expected: str) -> None:
        assert uids(worklist(ten, OPERATOR, **filters)) == list(expected)

    def test_filters_and_pages_go_together(self, ten: Session) -> None:
        wanted: dict[str, Any] = {"since": RECEIVED + timedelta(hours=4), "limit": 2}
        page = worklist(ten, OPERATOR, **wanted)
        assert uids(page) == list("14")
        assert uids(worklist(ten, OPERATOR, after=page.next, **wanted)) == list("56")


class TestViewer:
    def test_only_the_own_hospital(self, ten: Session) -> None:
        viewer = Viewer("t", Role.TECHNICIAN, LOEI)
        assert uids(worklist(ten, viewer)) == list("35")
        assert uids(worklist(ten, viewer, finding=SAH)) == list("3")
        assert uids(worklist(ten, viewer, hcode=LOEI)) == list("35")

    def test_asking_for_another_hospital_gives_nothing(self, ten: Session) -> None:
        assert uids(worklist(ten, Viewer("t", Role.TECHNICIAN, LOEI), hcode=UDON)) == []


def test_every_state_is_counted(ten: Session) -> None:
    counts = count_by_state(ten)
    assert (counts["flagged"], counts["clear"], counts["ready"], counts["superseded"]) == (4, 3, 1, 1)
    assert (set(counts), counts["failed"]) == ({state.value for state in StudyState}, 0)


@contextmanager
def explained(engine: Engine) -> Iterator[list[str]]:
    """The plan of each SELECT that SQLite is asked for meanwhile."""
    found: list[str] = []
    asking = False

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        nonlocal asking
        if asking or not statement.startswith("SELECT"):
            return
        asking = True
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        found.extend(row[-1] for row in rows)
        asking = False

    event.listen(engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine, "before_cursor_execute", explain)


VIEWERS = [OPERATOR, Viewer("t", Role.TECHNICIAN, UDON)]
WAYS = [
    {"hcode": hcode, "state": state, "finding": finding, "since": since}
    for hcode, state, finding, since in product(
        (None, UDON), (None, StudyState.CLEAR), (None, SAH), (None, RECEIVED)
    )
]


ONE_BY_ONE = ("(rowid=?)", "(study_id=? AND stroke_type=?)", "ix_study_grants_hcode (hcode=?)")


@pytest.fixture(scope="module")
def crowded(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Three thousand studies, with the statistics that SQLite keeps when it is asked to."""
    path = tmp_path_factory.mktemp("crowd") / "hub.sqlite"
    shutil.copy(template, path)
    engine = make_engine(f"sqlite:///{path}")
    crowd(engine, 3000)
    yield engine
    engine.dispose()


@pytest.mark.one_database  # PostgreSQL plans by its statistics
@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("viewer", VIEWERS, ids=["region", "hospital"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(k for k, v in way.items() if v) or "all")
def test_every_way_of_asking_reads_an_index_in_order(
    crowded: Engine, viewer: Viewer, way: dict[str, Any], analyzed: bool
) -> None:
    with session_scope(crowded) as session:
        if analyzed:
            session.execute(text("ANALYZE"))
        with explained(crowded) as plans:
            for after in (None, (5 << 40, 7)):
                worklist(session, viewer, after=after, **way)
        session.rollback()
    assert any(step.startswith("SEARCH") for step in plans)
    shown = False
    for step in plans:
        if step == "COMPOUND QUERY":
            shown = False
        # SQLite calls it a scan, too, to hand on the rows of a subquery that has read an index.
        assert not step.startswith("SCAN") or step.startswith("SCAN anon_"), step
        # What other hospitals show is little: found by number one by one, then sorted.
        assert shown or "TEMP B-TREE" not in step
        assert not shown or not step.startswith("SEARCH") or step.endswith(ONE_BY_ONE), step
        shown = shown or "ix_study_grants_hcode" in step


@pytest.mark.one_database  # PostgreSQL plans by its statistics
def test_a_study_and_its_parts_are_found_by_index(ten: Session, engine: Engine) -> None:
    with explained(engine) as plans:
        study = find_study(ten, "6", OPERATOR)
        analysis = analysis_of(ten, study)
        assert analysis is not None
        findings_of(ten, analysis)
        reviews_of(ten, analysis)
        series_of(ten, study.id)
        flags_of(ten, [study.id])
    assert len(plans) >= 6
    assert [step for step in plans if step.startswith("SCAN")] == []
