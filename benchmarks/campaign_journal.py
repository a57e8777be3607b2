"""The campaign's journal: which stages are over and what they measured, so that a killed run goes on."""

import json
import os
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]


class Journal:
    """Lines of JSON, each on disk before the next thing is done.

    A stage that has an `end` is never begun again; one that has only a `begin` was cut short, and looks for
    itself what of it the hub has already.
    """

    def __init__(self, path: Path, *, dies_at: str = "") -> None:
        """Read what is there.

        Args:
            path: The file.
            dies_at: STAGE:EVENT, or STAGE:N for its Nth step; once that is written, the process kills itself.
        """
        self._path = path
        self._dies_at = dies_at
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        # a line that was being written when the run was killed has no end
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
        if lines and not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]), encoding="utf-8")

    def note(self, stage: str, event: str, **more: Any) -> None:
        """Add a line."""
        row = {"stage": stage, "event": event, "at": datetime.now(UTC).isoformat(), **more}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows.append(row)
        if self._dies_at:
            steps = sum(each["stage"] == stage and each["event"] == "step" for each in self.rows)
            if self._dies_at in (f"{stage}:{event}", f"{stage}:{steps}" if event == "step" else ""):
                os.kill(os.getpid(), signal.SIGKILL)

    def figures(self, stage: str) -> Figures | None:
        """What a stage measured; None while it is not over."""
        ends = [row for row in self.rows if row["stage"] == stage and row["event"] == "end"]
        return ends[-1]["figures"] if ends else None

    def load(self, stage: str) -> float | None:
        """Of the machine, over the last minute of the stage; None where it was not noted."""
        ends = [row for row in self.rows if row["stage"] == stage and row["event"] == "end"]
        return ends[-1].get("load") if ends else None

    def seconds(self, stage: str) -> float:
        """How long it took, over all attempts; of one cut short until the last that was heard of it."""
        total, began, last = 0.0, None, None
        for row in [row for row in self.rows if row["stage"] == stage]:
            at = datetime.fromisoformat(row["at"])
            if row["event"] == "begin":
                total += (last - began).total_seconds() if began and last else 0.0
                began, last = at, at
            last = at
        return total + ((last - began).total_seconds() if began and last else 0.0)

    def attempts(self, stage: str) -> int:
        """How often it was begun."""
        return sum(row["stage"] == stage and row["event"] == "begin" for row in self.rows)
