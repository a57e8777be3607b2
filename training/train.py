"""Train a network by a recipe: `python -m training.train RECIPE.toml`. Reads in the order it runs.

Every step draws from a generator seeded by (recipe seed, stage, step), so a run that was stopped goes on
from its checkpoint exactly as it would have.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from model.network import MASK_STRIDE, StrokeNet, to_channels
from model.weights import load_network
from training.augment import augment
from training.cases import Case
from training.data import (
    SliceDraw,
    Split,
    assert_disjoint,
    slice_labels,
    split_patients,
    study_labels,
    unpack,
)
from training.loss import label_loss, mask_loss
from training.prepare import prepare_cases
from training.recipe import Recipe, load_recipe


@dataclass(slots=True)
class Run:
    """What a training run carries from step to step."""

    recipe: Recipe
    net: StrokeNet
    ema: AveragedModel
    started: float

    def autocast(self) -> AbstractContextManager[None]:
        """The recipe's precision."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def log(self, stage: int, step: int, num_steps: int, **values: float) -> None:
        """Write one line of the JSONL log, and the progress with the time left."""
        row = {"stage": stage, "step": step, **{name: round(value, 5) for name, value in values.items()}}
        with (self.recipe.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        left = (num_steps - step) * values["seconds_per_step"]
        words = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        print(f"stage {stage}  step {step}/{num_steps}  {words}  {left / 60:.1f} min left", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Train, calibrate, write the package; exit code 0, or 2 for a recipe that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument(
        "--package", type=Path, help="folder for the package; default: the recipe's out folder"
    )
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.recipe)
    except (OSError, ValueError) as error:
        print(f"{options.recipe}: {error}", file=sys.stderr)
        return 2
    from training.package import (
        write_package,
    )  # pulls in the ONNX exporter, which training itself does not need

    split = split_patients(prepare_cases(recipe), recipe.held_out)
    net = train(recipe, split)
    write_package(recipe, net, split, options.package or recipe.out / recipe.name)
    return 0


def train(recipe: Recipe, split: Split) -> StrokeNet:
    """Run both stages and return the running mean of the weights."""
    assert_disjoint(split)
    recipe.out.mkdir(parents=True, exist_ok=True)
    (recipe.out / "recipe.json").write_text(json.dumps(recipe.to_json(), indent=1), encoding="utf-8")
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    net = StrokeNet(recipe.network)
    if recipe.start is not None:
        net.load_state_dict(load_network(recipe.start).state_dict())
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    run = Run(recipe, net, _average(net, recipe.ema), time.monotonic())
    train_slices(run, split.train)
    # the heads go on from the averaged encoder, not from the last noisy one
    net.load_state_dict(run.ema.module.state_dict())
    run.ema = _average(net, recipe.ema)
    train_studies(run, split.train)
    averaged = run.ema.module
    assert isinstance(averaged, StrokeNet)
    return averaged.eval()


def train_slices(run: Run, cases: list[Case]) -> None:
    """Stage 1: single slices with masks, drawn evenly over the kinds of lesion."""
    recipe, net = run.recipe, run.net
    slices = SliceDraw(cases, recipe.share, recipe.positive)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    for step in _steps(run, 1, recipe.stage1_steps, recipe.learning_rate, optimiser):
        # draw slices and change their looks
        batch = slices.draw(np.random.default_rng((recipe.seed, 1, step)), recipe.stage1_batch)
        generator = torch.Generator().manual_seed(_mixed_seed(recipe.seed, 1, step))
        hu, bits = augment(batch.hu, batch.bits, generator)
        masks, ignored = unpack(bits)
        target = functional.avg_pool2d(masks, MASK_STRIDE)
        ignored = functional.max_pool2d(ignored[:, None], MASK_STRIDE)[:, 0]

        # forward: channels (N, 6, H, W) -> embeddings (N, E), masks (N, M, H/2, W/2)
        net.train()
        channels = to_channels(hu[:, 0], hu[:, 1], hu[:, 2]).to(memory_format=torch.channels_last)
        with run.autocast():
            embedding, drawn = net.encoder(channels)
        embedding, drawn = embedding.float(), drawn.float()
        logits = net.read_slices(embedding, drawn)

        # masks teach where, labels teach how much of it makes a finding
        masks_loss = mask_loss(drawn, target, batch.known, ignored)
        labels_loss = label_loss(logits, batch.labels, smoothing=recipe.label_smoothing)
        loss = recipe.mask_weight * masks_loss + labels_loss
        _descend(run, optimiser, loss)
        _report(run, 1, step, recipe.stage1_steps, mask=masks_loss, label=labels_loss)


def train_studies(run: Run, cases: list[Case]) -> None:
    """Stage 2: whole studies through a resting encoder; only the heads over slices learn."""
    recipe, net = run.recipe, run.net
    for parameter in net.encoder.parameters():
        parameter.requires_grad_(False)
    heads = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(heads, lr=recipe.stage2_learning_rate, weight_decay=recipe.weight_decay)
    sources = {name: [case for case in cases if case.card.source == name] for name in recipe.share}
    for step in _steps(run, 2, recipe.stage2_steps, recipe.stage2_learning_rate, optimiser):
        rng = np.random.default_rng((recipe.seed, 2, step))
        net.train()
        net.encoder.eval()
        losses = []
        for number in range(recipe.stage2_batch):
            # one study: real heads with and without their bleed must come equally often
            source = str(rng.choice(list(sources), p=list(recipe.share.values())))
            case = sources[source][int(rng.integers(len(sources[source])))]
            generator = torch.Generator().manual_seed(_mixed_seed(recipe.seed, 2 + number, step))
            hu, z = draw_study(case, rng, generator)
            with torch.no_grad():
                embedding, drawn = encode_study(run, hu)
            study, slices, _ = net.read(embedding, drawn, z)
            wanted = torch.from_numpy(study_labels(case))
            losses.append(label_loss(study, wanted, smoothing=recipe.label_smoothing))
            if len(slices) == len(case.hu):
                known = torch.from_numpy(slice_labels(case))
                losses.append(0.3 * label_loss(slices, known, smoothing=recipe.label_smoothing))
        loss = torch.stack(losses).sum() / recipe.stage2_batch
        _descend(run, optimiser, loss)
        _report(run, 2, step, recipe.stage2_steps, study=loss)


def draw_study(case: Case, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One study as another scanner might send it: (S, H, W) HU and (S, 2); some without the lowest slices."""
    first = int(rng.integers(0, len(case.hu) // 4)) if rng.random() < 0.5 else 0
    if (case.masks[:first] & 0x1FF).any():
        first = 0
    hu, _ = augment(
        torch.from_numpy(case.hu[first:].astype(np.float32))[:, None], None, generator, together=True
    )
    return hu[:, 0], torch.from_numpy(case.z()[first:])


def encode_study(run: Run, hu: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (S, E) and mask logits (S, M, h, w) of one study."""
    below, above = torch.cat([hu[:1], hu[:-1]]), torch.cat([hu[1:], hu[-1:]])
    with run.autocast():
        embedding, drawn = run.net.encoder(
            to_channels(below, hu, above).to(memory_format=torch.channels_last)
        )
    return embedding.float(), drawn.float()


def _average(net: StrokeNet, decay: float) -> AveragedModel:
    """A running mean that forgets its random start: the decay grows to its value with the number of steps."""

    def average(means: Sequence[Tensor], news: Sequence[Tensor], count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, new in zip(means, news, strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, share)
            else:
                mean.copy_(new)

    return AveragedModel(net, multi_avg_fn=average, use_buffers=True)


def _mixed_seed(seed: int, stage: int, step: int) -> int:
    return (seed * 1_000_003 + stage) * 1_000_003 + step


def _steps(
    run: Run, stage: int, num_steps: int, peak: float, optimiser: torch.optim.Optimizer
) -> Iterator[int]:
    """Count the steps from the last checkpoint on; set the learning rate, and save every so often."""
    path = run.recipe.out / f"stage{stage}.pt"
    first = _restore(run, path, optimiser)
    for step in range(first, num_steps):
        warm = min(1.0, (step + 1) / max(1.0, 0.05 * num_steps))
        rate = peak * warm * 0.5 * (1 + np.cos(np.pi * step / num_steps)) + 0.01 * peak
        for group in optimiser.param_groups:
            group["lr"] = float(rate)
        yield step
        if (step + 1) % run.recipe.checkpoint_every == 0 or step + 1 == num_steps:
            _save(run, path, optimiser, step + 1)


def _save(run: Run, path: Path, optimiser: torch.optim.Optimizer, step: int) -> None:
    state = {
        "step": step,
        "net": run.net.state_dict(),
        "ema": run.ema.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    new = path.with_suffix(".new")
    torch.save(state, new)
    new.replace(path)


def _restore(run: Run, path: Path, optimiser: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    run.net.load_state_dict(state["net"])
    run.ema.load_state_dict(state["ema"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _descend(run: Run, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient, clipped, and into the running mean."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.net.parameters(), run.recipe.clip_norm)
    optimiser.step()
    run.ema.update_parameters(run.net)


def _report(run: Run, stage: int, step: int, num_steps: int, **losses: Tensor) -> None:
    """Every 25 steps, a line of the log."""
    if (step + 1) % 25 and step + 1 != num_steps:
        return
    now = time.monotonic()
    per_step = (now - run.started) / min(25, step + 1)
    run.started = now
    run.log(
        stage,
        step + 1,
        num_steps,
        **{name: float(value.detach()) for name, value in losses.items()},
        seconds_per_step=per_step,
    )


if __name__ == "__main__":
    sys.exit(main())
