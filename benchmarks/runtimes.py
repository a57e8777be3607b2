"""Runtimes of the network, each in a process of its own, and what the machine can do at best."""

import importlib
import json
import multiprocessing
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.engine import Engine, FloatArray

PRESET_SIDE, PRESET_MM, PRESET_EMBEDDING = 256, 0.9, 256
PEAK_SIDE, PEAK_TIMES = 2048, 5
TRIAL_SLICES = 32


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
    try:
        engine = open_runtime(kind, model, threads)
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
        hu, z = study(model, slices)
        pipe.send(timed(engine, hu, z) if order == "run" else count_gflop(model, hu, z))


def open_runtime(kind: str, model: Path, threads: int) -> "Engine":
    """Start a runtime.

    Raises:
        ImportError: it is not installed.
        RuntimeError: this machine cannot do what was asked for.
    """
    from model.engine import TorchEngine, is_installed, open_engine
    from model.weights import graph_of

    package = kind.partition("-")[0]
    if not is_installed(package):
        raise ImportError(f"{package} is not installed")
    if package == "torch":
        torch = importlib.import_module("torch")
        if "cuda" in kind and not torch.cuda.is_available():
            raise RuntimeError("torch sees no GPU")
        engine = TorchEngine(model, threads=threads, bf16="bf16" in kind)
        if kind.endswith("compile"):
            engine.compile()
            # only the first run compiles, and fails where there is no C++ compiler
            timed(engine, *study(model, TRIAL_SLICES))
        return engine
    opened = open_engine(kind, model, graph_of(model), threads)
    if opened.name != kind:
        raise RuntimeError(f"this processor runs {opened.name} instead")
    return opened


def study(model: Path, slices: int) -> "tuple[FloatArray, FloatArray]":
    """A made study of so many slices: a disc of brain with noise."""
    from model.weights import read_metadata

    side = int(read_metadata(model)["network"]["side"])
    rows, columns = np.mgrid[:side, :side] - side / 2
    head = np.where(rows**2 + columns**2 < (0.4 * side) ** 2, 32.0, -1000.0)
    noise = np.random.default_rng(0).normal(0, 5, (slices, side, side))
    z = np.stack([np.arange(slices)[::-1] * 0.05, np.full(slices, 0.5)], axis=1)
    return (head + noise).astype(np.float32), z.astype(np.float32)


def random_network(preset: str, folder: Path) -> Path:
    """Weights and graph of a width, untrained."""
    import torch

    from model.network import NetworkShape, StrokeNet
    from model.weights import METADATA, save_network

    torch.manual_seed(0)
    shape = NetworkShape(preset, PRESET_SIDE, PRESET_MM, PRESET_EMBEDDING)
    path = folder / preset
    (path / METADATA).parent.mkdir(parents=True)
    (path / METADATA).write_text(json.dumps({"name": preset, "network": asdict(shape)}), encoding="utf-8")
    save_network(path, StrokeNet(shape))
    return path


def machine_peak(threads: int, device: str) -> dict[str, float]:
    """GFLOP/s of a large matrix product in fp32, and in bf16 where that is not imitated: it takes minutes."""
    import torch

    torch.set_num_threads(threads)
    peaks = {}
    kinds = {"fp32": torch.float32}
    if device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        kinds["bf16"] = torch.bfloat16
    for name, dtype in kinds.items():
        side = PEAK_SIDE * (4 if device == "cuda" else 1)
        first = torch.randn(side, side, device=device).to(dtype)
        best = float("inf")
        for _ in range(PEAK_TIMES):
            started = time.perf_counter()
            product = first @ first
            float(product[0, 0])  # waits for the GPU
            best = min(best, time.perf_counter() - started)
        peaks[name] = 2 * side**3 / best / 1e9
    return peaks


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
