"""The audit chain: every row follows from the one before, and nothing can be changed unseen."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.accounts import OPERATOR
from service.audit import FIRST, AuditEntry, entries_of, record, verify_chain
from service.db import session_scope
from service.reviews import review_finding
from service.verdicts import Verdict
from tests.service.factories import HN, NAME, analysed


@pytest.fixture
def three(engine: Engine) -> Engine:
    for n in range(3):
        with session_scope(engine) as session:
            record(session, "somchai", "study.read", study_id=n, detail={"n": n})
    return engine


def change(engine: Engine, statement: str) -> None:
    """What somebody with the whole database could do: first the guard, then the row."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER IF EXISTS audit_entries_no_update"))
            connection.execute(text("DROP TRIGGER IF EXISTS audit_entries_no_delete"))
        else:
            connection.execute(text("DROP TRIGGER IF EXISTS audit_entries_append_only ON audit_entries"))
        connection.execute(text(statement))


def test_an_untouched_chain_holds(three: Engine) -> None:
    with session_scope(three, write=False) as session:
        state = verify_chain(session)
    assert (state.entries, state.broken_at) == (3, None)
    assert state.head != FIRST


def test_many_writers_at_once_make_one_chain(engine: Engine) -> None:
    def write(n: int) -> None:
        with session_scope(engine) as session:
            record(session, f"writer-{n}", "study.read", study_id=n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    with session_scope(engine, write=False) as session:
        state = verify_chain(session)
    assert (state.entries, state.broken_at) == (40, None)


def test_an_empty_chain_holds(session: Session) -> None:
    assert verify_chain(session).broken_at is None


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit_entries SET actor = 'other' WHERE id = 2", 2),
        ("UPDATE audit_entries SET study_id = 9 WHERE id = 1", 1),
        ("DELETE FROM audit_entries WHERE id = 2", 2),
        ("DELETE FROM audit_entries WHERE id = 3", 3),
        ("DELETE FROM audit_entries", 1),
        ("UPDATE audit_head SET entries = 2", 4),
    ],
)
def test_a_change_is_found(three: Engine, statement: str, broken_at: int) -> None:
    change(three, statement)
    with session_scope(three, write=False) as session:
        assert verify_chain(session).broken_at == broken_at


@pytest.mark.parametrize("table", ["audit_entries", "reviews"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_refuses_to_change_a_row(engine: Engine, table: str, verb: str) -> None:
    with session_scope(engine) as session:
        review_finding(session, analysed(session, "1.2.3", StrokeType.SAH), OPERATOR, Verdict.AGREE)
    with pytest.raises(DBAPIError, match="never changed or deleted"), engine.begin() as connection:
        connection.execute(text(verb.format(table)))


def test_who_saw_a_study_is_found_by_its_number(three: Engine) -> None:
    with session_scope(three) as session:
        record(session, "malee", "study.agree", study_id=1)
        assert [each.actor for each in entries_of(session, 1)] == ["somchai", "malee"]


def test_no_patient_is_named(session: Session) -> None:
    study = analysed(session, "1.2.3", StrokeType.SAH)
    review_finding(session, study, OPERATOR, Verdict.AGREE, comment=f"{NAME} {HN}")
    rows = [(each.actor, each.action, str(each.detail)) for each in session.query(AuditEntry)]
    assert [action for _, action, _ in rows] == ["study.reopen", "study.flagged", "study.agree"]
    assert not any(word in str(rows) for word in (*NAME.split("^"), HN, "1.2.3"))
