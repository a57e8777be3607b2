"""The mechanics of a training loop: optimiser, steps from the last checkpoint on, descent, report."""

import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model.network import WINDOWS, StrokeNet
from training.checkpoint import load_checkpoint, save_checkpoint
from training.ema import RunningMean
from training.journal import Journal
from training.ranks import Rank
from training.recipe import Recipe
from training.schedule import PROBED, Schedule

REPORT_EVERY = 25


@dataclass(slots=True)
class Clock:
    """How fast a stage goes, for its report."""

    num_steps: int = 0
    slices: int = 0
    """Shown since the last report, in all processes."""
    since: float = field(default_factory=time.monotonic)
    step: int = 0
    """Of the last report."""


@dataclass(slots=True)
class Run:
    """What a training run carries from step to step."""

    recipe: Recipe
    rank: Rank
    net: StrokeNet
    ema: RunningMean
    journal: Journal
    flop_per_slice: float
    """Of one forward pass of the encoder."""
    clock: Clock = field(default_factory=Clock)

    def autocast(self) -> AbstractContextManager[None]:
        """The recipe's precision, or fp32 where bf16 would only be imitated."""
        enabled = self.recipe.precision == "bf16" and has_bf16(self.rank.device)
        return torch.autocast(self.rank.device.type, torch.bfloat16, enabled=enabled)

    def generator(self, stage: int, step: int) -> torch.Generator:
        """Of the device, for the looks of one step."""
        seed = ((self.recipe.seed * 1_000_003 + stage) * 1_000_003 + step) * 1_009 + self.rank.number
        return torch.Generator(self.rank.device).manual_seed(seed)

    def rng(self, stage: int, step: int) -> np.random.Generator:
        """For what is drawn in one step."""
        return np.random.default_rng((self.recipe.seed, stage, step, self.rank.number))


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16; imitated it is four times slower than fp32."""
    return device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def make_optimiser(run: Run, modules: Iterable[tuple[nn.Module, float]]) -> torch.optim.Optimizer:
    """AdamW over modules, each with its part of the learning rate; no decay of biases and norms."""
    groups = []
    for module, part in modules:
        parameters = list(module.parameters())
        for decay, rows in (
            (run.recipe.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            groups.append({"params": rows, "weight_decay": decay, "part": part})
    fused = run.rank.device.type == "cuda"
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=fused)


def steps(run: Run, stage: int, schedule: Schedule, optimiser: torch.optim.Optimizer) -> Iterator[int]:
    """Count the steps from the last checkpoint on; set the learning rate, and save every so often."""
    path = run.recipe.out / f"stage{stage}.pt"
    step = first = _restore(run, stage, schedule, optimiser)
    started = probed = time.monotonic()
    run.clock = Clock(schedule.num_steps, step=step)
    while step < schedule.num_steps or schedule.probing:
        rate = schedule.rate(step)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["part"]
        yield step
        step += 1
        if schedule.probing and step - first in PROBED:
            _wait(run)
            now = time.monotonic()
            if step - first == PROBED[1]:
                per_step = run.rank.agree((now - probed) / (PROBED[1] - PROBED[0]))
                schedule.fit(step, run.rank.agree(now - started), per_step)
                run.clock.num_steps = schedule.num_steps
            probed = now
        due = step % run.recipe.checkpoint_every == 0 or step == schedule.num_steps
        if due and run.rank.first and not schedule.probing:
            save_checkpoint(path, _state(run, step, schedule, optimiser))


def _state(run: Run, step: int, schedule: Schedule, optimiser: torch.optim.Optimizer) -> dict[str, object]:
    return {
        "step": step,
        "num_steps": schedule.num_steps,
        "net": run.net.state_dict(),
        "ema": run.ema.state(),
        "optimiser": optimiser.state_dict(),
    }


def _restore(run: Run, stage: int, schedule: Schedule, optimiser: torch.optim.Optimizer) -> int:
    state = load_checkpoint(run.recipe.out / f"stage{stage}.pt", run.rank.device)
    if state is None:
        return 0
    run.net.load_state_dict(state["net"])
    run.ema.restore(state["ema"])
    optimiser.load_state_dict(state["optimiser"])
    if schedule.seconds:
        schedule.num_steps, schedule.measured = int(state["num_steps"]), True
    run.journal.forget_after(stage, int(state["step"]))
    return int(state["step"])


def descend(run: Run, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient, clipped, and into the running mean."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.net.parameters(), run.recipe.clip_norm)
    optimiser.step()
    run.ema.update()


def report(run: Run, stage: int, step: int, *, slices: int, losses: dict[str, Tensor]) -> None:
    """Every 25 steps, a line of the log; only then is the device waited for."""
    clock = run.clock
    clock.slices += slices * run.rank.count
    if (step + 1) % REPORT_EVERY and step + 1 != clock.num_steps:
        return
    values = {name: float(value.detach()) for name, value in losses.items()}
    now = time.monotonic()
    seconds = max(now - clock.since, 1e-9)
    per_step = seconds / max(1, step + 1 - clock.step)
    values["seconds_per_step"] = per_step
    values["slices_per_second"] = clock.slices / seconds
    # forward once, backward twice as much; where the encoder rests, forward alone
    passes = 1 if stage == 2 and run.recipe.encoder_rate == 0 else 3
    values["tflops"] = passes * run.flop_per_slice * values["slices_per_second"] / 1e12
    if run.rank.device.type == "cuda":
        values["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    left = max(0, clock.num_steps - step - 1) * per_step
    run.journal.tell(stage, step + 1, clock.num_steps, left, values)
    clock.slices, clock.since, clock.step = 0, now, step + 1


def flop_per_slice(net: StrokeNet) -> float:
    """Floating-point operations of the encoder for one slice."""
    device = next(net.parameters()).device
    shown = torch.zeros(1, len(WINDOWS) + 2, net.shape.side, net.shape.side, device=device)
    was = net.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval().encoder(shown)
    net.train(was)
    return float(counter.get_total_flops())


def _wait(run: Run) -> None:
    if run.rank.device.type == "cuda":
        torch.cuda.synchronize()
