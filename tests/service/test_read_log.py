"""The read log: every access on disk before its answer, many in one transaction."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from service import audit
from service.audit import verify_chain
from service.db import session_scope
from service.read_log import ReadLog
from tests.pacs import await_condition


class TestNote:
    def test_an_access_is_on_disk_when_it_returns(self, engine: Engine) -> None:
        ReadLog(engine).note("somchai", "study.read", study_id=7, detail={"n": 1})
        with session_scope(engine, write=False) as session:
            (entry,) = audit.entries_of(session, 7)
            assert (entry.actor, entry.action, entry.detail) == ("somchai", "study.read", {"n": 1})
            assert verify_chain(session).broken_at is None

    def test_whoever_waits_for_a_writer_is_written_with_the_others(self, engine: Engine) -> None:
        log, commits = ReadLog(engine), []
        with ThreadPoolExecutor(8) as pool:
            with session_scope(engine) as busy:
                audit.record(busy, "worker", "study.ready")  # holds what writers must hold
                event.listen(engine, "commit", lambda connection: commits.append(connection))
                notes = [pool.submit(log.note, f"reader-{n}", "study.read", study_id=n) for n in range(8)]
                # the first tries to write and waits for the worker, or took some of the others along
                await_condition(lambda: sum(note.running() for note in notes) == 8, "all are under way")
                await_condition(lambda: log.taken, "the first is writing")
                first = log.taken
                await_condition(lambda: log.waiting == 8 - first, "the others wait for it")
            for note in notes:
                note.result()
        assert len(commits) == (2 if first == 8 else 3)  # the worker's, the first's, and one for all others
        with session_scope(engine, write=False) as session:
            assert (verify_chain(session).entries, verify_chain(session).broken_at) == (9, None)

    def test_what_could_not_be_written_is_told_to_each(self, engine: Engine) -> None:
        log = ReadLog(engine)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE audit_head"))
        with ThreadPoolExecutor(4) as pool:
            notes = [pool.submit(log.note, "reader", "study.read") for _ in range(4)]
        for note in notes:
            with pytest.raises(DBAPIError):
                note.result()
