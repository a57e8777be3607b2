"""Last slice to flag: how long until a study's result is in the API, from a cold and a warm worker.

    python -m benchmarks.latency [--json] [--long]

50 simulated studies (200 with --long) of 32 slices, 512 x 512, one after the other, one association each.
Peak memory of each process is read from the kernel at the end.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving import Serving, serving
from benchmarks.simulated import simulated_studies
from benchmarks.table import at_most, report

MEMORY_LIMITS_MB = {"listener": 150, "worker": 1500, "api": 250}
STEPS = ("completion", "queue", "load", "infer", "record")


def steps_of(result: dict[str, Any]) -> dict[str, float]:
    """Seconds of each step between the last slice and the result, as the hub recorded them."""
    return {step: float(result["seconds"].get(step, 0.0)) for step in STEPS}


def one(serving: Serving, uid: str, paths: list[Path]) -> dict[str, float]:
    """Send one study; seconds from its last acknowledged slice until the API says the result."""
    serving.send(paths)
    sent = time.perf_counter()
    result = serving.result(uid)
    seen = time.perf_counter() - sent
    return {"seen": seen, **steps_of(result)}


def row(name: str, samples: list[dict[str, float]]) -> dict[str, Any]:
    """One line of the table, seconds."""
    cells: dict[str, Any] = {"worker": name, "n": len(samples)}
    seen = [sample["seen"] for sample in samples]
    cells |= {"p50 s": percentile(seen, 50), "p95 s": percentile(seen, 95), "max s": max(seen)}
    cells |= {step: statistics.median(sample[step] for sample in samples) for step in STEPS}
    return cells


def percentile(values: list[float], percent: float) -> float:
    """Linear between the two nearest values."""
    return float(np.percentile(values, percent))


def limit_of(process: str) -> int:
    """Megabytes that a process may take at most."""
    return MEMORY_LIMITS_MB[process.partition("-")[0]]


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--long", action="store_true", help="200 studies instead of 50")
    arguments = parser.parse_args()
    num_warm = 200 if arguments.long else 50

    with tempfile.TemporaryDirectory() as folder:
        studies = simulated_studies(Path(folder) / "dicom", num_warm + 1, slices=32)
        with serving(Path(folder) / "hub") as running:
            cold = [one(running, *studies[0])]
            warm = [one(running, uid, paths) for uid, paths in studies[1:]]
            memory = running.peak_memory_mb()

    rows = [row("cold", cold), row("warm", warm)]
    beyond = percentile([sample["seen"] - sample["infer"] - sample["load"] for sample in warm], 95)
    p95 = percentile([sample["seen"] for sample in warm], 95)
    bars = [
        at_most("last slice to result, p95, s", p95, 10),
        at_most("beyond load and inference, p95, s", beyond, 2),
        *(at_most(f"peak memory of {name}, MB", peak, limit_of(name)) for name, peak in memory.items()),
    ]
    report("latency", rows, bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
