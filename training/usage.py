"""What each part of a run cost: wall time, processor time, peak memory; a row a part in usage.jsonl."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FORGET_PEAK = "5"
"""Written to clear_refs, it sets the peak of resident memory back to what is resident now (proc(5))."""


@contextmanager
def measured(out: Path, part: str, *, silent: bool = False) -> Iterator[None]:
    """Measure what is done inside, and write it down when that is done.

    A part that was stopped and gone on with has a row of the process that finished it, which tells nothing
    of the steps before.

    Args:
        out: Folder of usage.jsonl.
        part: E.g. prepare, stage 1, stage 2, package.
        silent: Write nothing, as all processes of a run but the first.
    """
    # where the kernel does not let it, the peak is that since the start
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(FORGET_PEAK, encoding="ascii")
    wall, processor = time.monotonic(), processor_seconds()
    yield
    if silent:
        return
    row = {
        "part": part,
        "wall_s": round(time.monotonic() - wall, 1),
        "processor_s": round(processor_seconds() - processor, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "child_peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }
    out.mkdir(parents=True, exist_ok=True)
    with (out / "usage.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print("{part}: {wall_s} s, {processor_s} s of processor, {peak_mb} MB at most".format(**row), flush=True)


def processor_seconds() -> float:
    """User and system time of this process and of those that it started and that have ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)
