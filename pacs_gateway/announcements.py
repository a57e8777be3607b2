"""What a study should hold by the word of its scanner or PACS: MPPS, IAN or a count. PS3.4 annexes F, R."""

import json
from collections.abc import Callable, Iterable, Sequence
from sqlite3 import Connection

from pacs_gateway.completion import Announced
from pacs_gateway.index import Index

MPPS, IAN, COUNT = "MPPS", "IAN", "the sender's count"


class UnknownStep(ValueError):
    """No performed procedure step of this UID was begun."""


class StepIsOver(ValueError):
    """A performed procedure step that is completed or discontinued may not change any more."""


class StepExists(ValueError):
    """A performed procedure step of this UID was begun before."""


class Announcements:
    """Words on studies, one row for each source that spoke."""

    def __init__(self, index: Index, clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock

    def begin_step(self, step_uid: str, studies: Sequence[str]) -> None:
        """A scanner began a performed procedure step.

        Raises:
            StepExists: it began before.
        """
        now = self._clock()

        def begin(db: Connection) -> bool | None:
            before = _step(db, step_uid)
            if before is None:
                db.executemany(
                    "INSERT INTO announcements (source, word, study_instance_uid, finished, at)"
                    " VALUES (?,?,?,0,?)",
                    [(MPPS, step_uid, study, now) for study in studies or [""]],
                )
            return before

        # raised out here: inside, it would fail the images of the same commit
        if self._index.write(begin) is not None:
            raise StepExists(f"performed procedure step {step_uid} exists")

    def change_step(self, step_uid: str, instances: Iterable[str], *, finished: bool) -> None:
        """A scanner said what a step made so far, or that it is over.

        Raises:
            UnknownStep, StepIsOver: it may not be changed.
        """
        now, listed = self._clock(), json.dumps(sorted(set(instances)))

        def change(db: Connection) -> bool | None:
            before = _step(db, step_uid)
            if before is False:
                db.execute(
                    "UPDATE announcements SET instances = iif(?1 = '[]', instances, ?1), finished = ?2,"
                    " at = ?3 WHERE source = ?4 AND word = ?5",
                    (listed, finished, now, MPPS, step_uid),
                )
            return before

        before = self._index.write(change)
        if before is None:
            raise UnknownStep(f"no performed procedure step {step_uid}")
        if before:
            raise StepIsOver(f"performed procedure step {step_uid} is over")

    def note_available(self, study_instance_uid: str, instances: Iterable[str]) -> None:
        """A PACS notified which instances of a study it has."""
        self._note(IAN, study_instance_uid, json.dumps(sorted(set(instances))), None)

    def note_count(self, study_instance_uid: str, count: int) -> None:
        """The sender, asked by C-FIND, counts so many instances."""
        self._note(COUNT, study_instance_uid, None, count)

    def _note(self, source: str, study: str, instances: str | None, count: int | None) -> None:
        now = self._clock()
        self._index.write(
            lambda db: db.execute(
                "INSERT INTO announcements (source, word, study_instance_uid, finished, instances, count, at)"
                " VALUES (?1, ?2, ?2, 1, ?3, ?4, ?5)"
                " ON CONFLICT DO UPDATE SET instances = ?3, count = ?4, at = ?5",
                (source, study, instances, count, now),
            )
        )

    def of(self, study_instance_uid: str) -> Announced | None:
        """What was said of a study, against what is here."""
        return self._index.read(lambda db: announced(db, study_instance_uid))


def announced(db: Connection, study_instance_uid: str) -> Announced | None:
    """What was said of a study, against what is here; None while nothing final was said."""
    rows = db.execute(
        "SELECT source, finished, instances, count FROM announcements"
        " WHERE study_instance_uid = ? ORDER BY at",
        (study_instance_uid,),
    ).fetchall()
    lists = [
        (source, json.loads(instances)) for source, _, instances, _ in rows if instances not in (None, "[]")
    ]
    if not all(finished for _, finished, _, _ in rows) or not rows:
        return None
    here = {
        uid
        for (uid,) in db.execute(
            "SELECT sop_instance_uid FROM instances WHERE study_instance_uid = ?", (study_instance_uid,)
        )
    }
    if lists:
        expected = {uid for _, instances in lists for uid in instances}
        return Announced(lists[-1][0], len(expected), len(expected - here), len(here - expected))
    counts = [count for _, _, _, count in rows if count]
    if not counts:
        return None
    return Announced(COUNT, counts[-1], max(0, counts[-1] - len(here)), max(0, len(here) - counts[-1]))


def _step(db: Connection, step_uid: str) -> bool | None:
    """Whether the step is over; None where it never began."""
    row = db.execute(
        "SELECT finished FROM announcements WHERE source = ? AND word = ?", (MPPS, step_uid)
    ).fetchone()
    return None if row is None else bool(row[0])
