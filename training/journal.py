"""What a run tells while it goes on: a JSONL log, TensorBoard, progress with the time left, curves."""

import json
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from training.curves import draw_curves


class Journal:
    """Log of one run, in its out folder; silent in all processes but the first."""

    def __init__(self, out: Path, *, silent: bool = False) -> None:
        self.path, self.silent = out / "log.jsonl", silent
        if not silent:
            out.mkdir(parents=True, exist_ok=True)
            self._events = EventFileWriter(str(out / "tensorboard"))

    def forget_after(self, stage: int, step: int) -> None:
        """Drop lines beyond a checkpoint: the steps they tell of come again."""
        if self.silent or not self.path.exists():
            return
        rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        kept = [row for row in rows if (row["stage"], row["step"]) <= (stage, step)]
        self.path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def tell(
        self, stage: int, step: int, num_steps: int, seconds_left: float, values: dict[str, float]
    ) -> None:
        """Write one line of the log, and the progress with the time left."""
        if self.silent:
            return
        row = {"stage": stage, "step": step, **{name: float(f"{v:.6g}") for name, v in values.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        scalars = [Summary.Value(tag=f"stage{stage}/{name}", simple_value=v) for name, v in values.items()]
        self._events.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))
        words = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        minutes, seconds = divmod(round(seconds_left), 60)
        print(f"stage {stage}  step {step}/{num_steps}  {words}  {minutes}:{seconds:02d} left", flush=True)

    def note(self, name: str, values: dict[str, Any]) -> None:
        """Write a JSON file of its own beside the log."""
        if not self.silent:
            path = self.path.with_name(name)
            path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Write out what is kept back, and draw the curves."""
        if not self.silent:
            self._events.close()
            if self.path.exists():
                rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
                self.path.with_name("curves.svg").write_text(draw_curves(rows), encoding="utf-8")
