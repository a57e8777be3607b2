"""The shipped network in each runtime: time, memory, and how far its answer is from torch eager's.

    python -m benchmarks.inference [--json] [--long] [--threads N]

OpenVINO in bf16 (where the processor has it) and fp32, ONNX Runtime where it is installed, torch eager, and
with --long torch.compile. Every runtime lives in a process of its own and the rounds are interleaved: a busy
machine is busy for all of them. The input are the package's golden heads, repeated to 24, 32 and 60 slices.
"""

import argparse
import importlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.table import Row, at_least, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.engine import Engine, FloatArray
    from model.weights import Artefact

KINDS = ("openvino-bf16", "openvino-fp32", "onnxruntime", "torch")
LONG_KINDS = (*KINDS, "torch-compile")
REFERENCE = "torch"
SLICES = (24, 32, 60)
BAR_SLICES, BAR_TIMES = 32, 4.0
WARM_UPS = 2
REST_S = 0.05
"""Before each run: the threads of the runtime that ran before have gone to sleep by then."""


@dataclass(frozen=True, slots=True)
class Took:
    """One run: how long, and the logits of the study."""

    ms: float
    logits: tuple[float, ...]


class Runner:
    """One runtime in a process of its own, answering one order at a time."""

    def __init__(self, kind: str, model: Path, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=answer, args=(theirs, kind, model, threads), daemon=True)
        self._process.start()
        theirs.close()
        self.missing: str | None = self._receive()
        """Why this runtime cannot be measured here."""

    def run(self, slices: int) -> Took:
        """Run a study of so many slices."""
        took: Took = self._ask("run", slices)
        return took

    def gflop(self, slices: int) -> float:
        """What such a study costs: multiplications and additions; only torch can count them."""
        return float(self._ask("gflop", slices))

    def peak_mb(self) -> float:
        """The most resident memory that the process has had."""
        return float(self._ask("peak", 0))

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=10)
        self._process.kill()

    def _ask(self, order: str, slices: int) -> Any:
        self._pipe.send((order, slices))
        return self._receive()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            return "its process died"


def answer(pipe: Connection, kind: str, model: Path, threads: int) -> None:
    """What a runtime's process does: open, say whether that worked, then take orders until the pipe ends."""
    from model.weights import load_artefact

    artefact = load_artefact(model)
    try:
        engine = open_runtime(kind, artefact, threads)
    except (ImportError, RuntimeError) as error:
        pipe.send(str(error).partition("\n")[0])
        return
    pipe.send(None)
    while True:
        try:
            order, slices = pipe.recv()
        except EOFError:
            return
        if order == "peak":
            pipe.send(peak_mb())
            continue
        hu, z = study(artefact, slices)
        pipe.send(timed(engine, hu, z) if order == "run" else count_gflop(artefact.path, hu, z))


def open_runtime(kind: str, artefact: "Artefact", threads: int) -> "Engine":
    """Start a runtime.

    Raises:
        ImportError: it is not installed.
        RuntimeError: this processor cannot do what was asked for.
    """
    from model.engine import TorchEngine, is_installed, open_engine

    package = kind.partition("-")[0]
    if not is_installed(package):
        raise ImportError(f"{package} is not installed")
    if kind == "torch-compile":
        torch = importlib.import_module("torch")
        engine = TorchEngine(artefact.path, threads=threads)
        engine._net = torch.compile(engine._net, dynamic=False)
        return engine
    opened = open_engine(kind, artefact.path, artefact.onnx, threads)
    if opened.name != kind:
        raise RuntimeError(f"this processor runs {opened.name} instead")
    return opened


def study(artefact: "Artefact", slices: int) -> "tuple[FloatArray, FloatArray]":
    """A study of so many slices made of the golden ones."""
    golden = artefact.golden()[0]
    order = np.arange(slices) % len(golden.hu)
    return golden.hu[order], golden.z[order]


def timed(engine: "Engine", hu: "FloatArray", z: "FloatArray") -> Took:
    """Run once."""
    started = time.perf_counter()
    outputs = engine.run(hu, z)
    ms = 1000 * (time.perf_counter() - started)
    return Took(ms, tuple(float(value) for value in outputs.study))


def count_gflop(model: Path, hu: "FloatArray", z: "FloatArray") -> float:
    """Multiplications and additions of one study in thousand millions, as torch counts them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from model.weights import load_network

    net = load_network(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.from_numpy(hu[None]), torch.from_numpy(z[None]))
    return float(counter.get_total_flops()) / 1e9


def peak_mb() -> float:
    """VmHWM of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


@contextmanager
def runners(kinds: Sequence[str], model: Path, threads: int) -> "Iterator[dict[str, Runner]]":
    """The runtimes, each opened while the others rest."""
    with ExitStack() as stack:
        opened = {}
        for kind in kinds:
            opened[kind] = Runner(kind, model, threads)
            stack.callback(opened[kind].close)
        yield opened


def measure(here: Mapping[str, Runner], slices: int, rounds: int) -> dict[str, list[Took]]:
    """Interleaved rounds of one size, after warming up."""
    took: dict[str, list[Took]] = {kind: [] for kind in here}
    for number in range(-WARM_UPS, rounds):
        for kind, runner in here.items():
            time.sleep(REST_S)
            once = runner.run(slices)
            if number >= 0:
                took[kind].append(once)
    return took


def times_faster(took: Mapping[str, Sequence[Took]], kind: str) -> float:
    """How many times faster than torch eager: the median over rounds, each against its own round."""
    pairs = zip(took[REFERENCE], took[kind], strict=True)
    return statistics.median(slow.ms / fast.ms for slow, fast in pairs)


def off_by(took: Mapping[str, Sequence[Took]], kind: str) -> float:
    """Largest difference of a stroke type's probability from torch eager's."""
    from model.calibration import sigmoid

    one, other = (sigmoid(np.array(took[name][-1].logits)) for name in (REFERENCE, kind))
    return float(np.abs(one - other).max())


def row(kind: str, slices: int, took: Mapping[str, Sequence[Took]], gflop: float, peak: float) -> Row:
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
        "peak MB": round(peak),
        "off by": f"{off_by(took, kind):.1e}",
    }


def main() -> None:
    """Run it and print."""
    from model.weights import SHIPPED, load_artefact

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--long", action="store_true", help="torch.compile, too, and three times the rounds")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--model", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    artefact = load_artefact(arguments.model)
    rounds = 27 if arguments.long else 9
    # a limit from outside must not bind one runtime and not the next
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

    rows: list[Row] = []
    times: dict[str, float] = {}
    with runners(LONG_KINDS if arguments.long else KINDS, artefact.path, arguments.threads) as opened:
        here = {kind: runner for kind, runner in opened.items() if runner.missing is None}
        took = {slices: measure(here, slices, rounds) for slices in SLICES}
        # memory before torch counts operations, which costs memory of its own
        peaks = {kind: runner.peak_mb() for kind, runner in here.items()}
        for slices in SLICES:
            gflop = here[REFERENCE].gflop(slices)
            rows += [row(kind, slices, took[slices], gflop, peaks[kind]) for kind in here]
        times = {kind: times_faster(took[BAR_SLICES], kind) for kind in here}
        missing = {kind: runner.missing for kind, runner in opened.items() if runner.missing}

    # the hub takes bf16 where it can, else fp32
    best = next((times[kind] for kind in KINDS[:2] if kind in times), None)
    what = f"OpenVINO against torch eager, {BAR_SLICES} slices, {arguments.threads} threads, times"
    rows += [{**dict.fromkeys(rows[0], None), "runtime": f"{kind}: {why}"} for kind, why in missing.items()]
    name = f"inference of {artefact.name} ({artefact.digest[:12]})"
    report(name, rows, [at_least(what, best, BAR_TIMES)], as_json=arguments.json)


if __name__ == "__main__":
    main()
