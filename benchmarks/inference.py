"""The network in each runtime: time, memory, distance from torch eager's answer and from the peak.

    python -m benchmarks.inference [--json] [--compile] [--long] [--threads N] [--presets P...] [--gpu]

OpenVINO in bf16 (where the processor has it) and fp32, ONNX Runtime where it is installed, torch eager,
and with --compile torch.compile, which takes minutes before the first round; with --long three times the
rounds. Every runtime lives in a process of its own and the rounds are interleaved: a busy machine is busy
for all of them. Without --presets (small, half, full) it is the shipped network, else networks of those
widths with random weights on 256 px of 0.9 mm, 32 slices only unless --long. --gpu takes torch on the GPU
instead: eager, bf16, compiled. The peak is a matrix product in torch, fp32 and, where the processor
has it, bf16, before the rounds.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.runtimes import Runner, Took, machine_peak, random_network, runners
from benchmarks.table import Row, at_least, report

if TYPE_CHECKING:
    pass

KINDS = ("openvino-bf16", "openvino-fp32", "onnxruntime", "torch")
COMPILED = "torch-compile"
GPU_KINDS = ("torch-cuda", "torch-cuda-bf16", "torch-cuda-bf16-compile")
BUDGET_S = 200.0
"""For all rounds; with --long without limit. At least FEWEST rounds are made."""
FEWEST = 2
SLICES = (24, 32, 60)
BAR_SLICES, BAR_TIMES = 32, 4.0
WARM_UPS = 1
REST_S = 0.05
"""Before each run: the threads of the runtime that ran before have gone to sleep by then."""


def measure(here: Mapping[str, Runner], slices: int, rounds: int, budget_s: float) -> dict[str, list[Took]]:
    """Interleaved rounds of one size, after warming up; as many as the budget allows."""
    took: dict[str, list[Took]] = {kind: [] for kind in here}
    started = time.perf_counter()
    for number in range(-WARM_UPS, rounds):
        if number >= FEWEST and time.perf_counter() - started > budget_s:
            break
        for kind, runner in here.items():
            time.sleep(REST_S)
            once = runner.run(slices)
            if number >= 0:
                took[kind].append(once)
    return took


def reference(took: Iterable[str]) -> str:
    """Torch eager: on the GPU where that is measured."""
    return "torch-cuda" if "torch-cuda" in took else "torch"


def times_faster(took: Mapping[str, Sequence[Took]], kind: str) -> float:
    """How many times faster than torch eager: the median over rounds, each against its own round."""
    pairs = zip(took[reference(took)], took[kind], strict=True)
    return statistics.median(slow.ms / fast.ms for slow, fast in pairs)


def off_by(took: Mapping[str, Sequence[Took]], kind: str) -> float:
    """Largest difference of a stroke type's probability from torch eager's."""
    from model.calibration import sigmoid

    one, other = (sigmoid(np.array(took[name][-1].logits)) for name in (reference(took), kind))
    return float(np.abs(one - other).max())


def row(
    kind: str, slices: int, took: Mapping[str, Sequence[Took]], gflop: float, peak_memory: float, peak: float
) -> Row:
    """One line of the table."""
    ms = statistics.median(once.ms for once in took[kind])
    return {
        "runtime": kind,
        "slices": slices,
        "ms": ms,
        "fastest": min(once.ms for once in took[kind]),
        "slowest": max(once.ms for once in took[kind]),
        "x torch": times_faster(took, kind),
        "GFLOP": gflop,
        "GFLOP/s": gflop / ms * 1000,
        "% of peak": 100 * gflop / min(once.ms for once in took[kind]) * 1000 / peak,
        "peak MB": round(peak_memory),
        "off by": f"{off_by(took, kind):.1e}",
    }


def measure_model(
    model: Path,
    kinds: Sequence[str],
    peaks: Mapping[str, float],
    *,
    threads: int,
    rounds: int,
    budget_s: float,
    sizes: Sequence[int] = SLICES,
) -> tuple[list[Row], dict[str, float], dict[str, str]]:
    """Rows of one network, times faster than torch eager, and which runtimes are missing and why."""
    with runners(kinds, model, threads) as opened:
        here = {kind: runner for kind, runner in opened.items() if runner.missing is None}
        missing = {kind: runner.missing for kind, runner in opened.items() if runner.missing}
        if reference(here) not in here:
            return [], {}, missing
        took = {slices: measure(here, slices, rounds, budget_s / len(sizes)) for slices in sizes}
        # memory before torch counts operations, which costs memory of its own
        memory = {kind: runner.peak_mb() for kind, runner in here.items()}
        rows = []
        for slices in sizes:
            gflop = here[reference(here)].gflop(slices)
            for kind in here:
                peak = peaks["bf16" if "bf16" in kind else "fp32"]
                rows.append(row(kind, slices, took[slices], gflop, memory[kind], peak))
        return rows, {kind: times_faster(took[BAR_SLICES], kind) for kind in here}, missing


def main() -> None:
    """Run it and print."""
    from model.weights import SHIPPED, load_artefact

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too")
    parser.add_argument("--long", action="store_true", help="the same, and three times the rounds")
    parser.add_argument(
        "--gpu", action="store_true", help="torch on the GPU instead of the processor's runtimes"
    )
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--presets", nargs="+", choices=("small", "half", "full"), default=[])
    arguments = parser.parse_args()
    rounds = 27 if arguments.long else 9
    compiled = (COMPILED,) if arguments.compile or arguments.long else ()
    kinds = GPU_KINDS if arguments.gpu else (*KINDS, *compiled)
    # a limit from outside must not bind one runtime and not the next
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        models = [random_network(preset, Path(folder)) for preset in arguments.presets] or [arguments.model]
        peaks = machine_peak(arguments.threads, "cuda" if arguments.gpu else "cpu")
        rows: list[Row] = [
            {"network": "(matrix product)", "runtime": f"torch {name}", "GFLOP/s": value}
            for name, value in peaks.items()
        ]
        bars = []
        for model in models:
            name = model.name if arguments.presets else load_artefact(model).name
            budget = float("inf") if arguments.long else BUDGET_S / len(models)
            sizes = (BAR_SLICES,) if arguments.presets and not (arguments.long or arguments.gpu) else SLICES
            found, times, missing = measure_model(
                model, kinds, peaks, threads=arguments.threads, rounds=rounds, budget_s=budget, sizes=sizes
            )
            rows = [{"network": name, **each} for each in found] + rows
            rows += [{"network": name, "runtime": f"{kind}: {why}"} for kind, why in missing.items()]
            # the hub takes bf16 where it can, else fp32
            best = next((times[kind] for kind in KINDS[:2] if kind in times), None)
            what = f"{name}: OpenVINO against torch eager, {BAR_SLICES} slices, times"
            bars += [] if arguments.gpu else [at_least(what, best, BAR_TIMES)]
    report("inference", [{**dict.fromkeys(rows[0]), **each} for each in rows], bars, as_json=arguments.json)


if __name__ == "__main__":
    main()
