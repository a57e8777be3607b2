"""Train a network by a recipe: `python -m training.train RECIPE.toml`. Reads in the order it runs.

`torchrun --nproc-per-node N -m training.train RECIPE.toml` shares each batch among N processes.
Every step draws from generators seeded by (recipe seed, stage, step, process), so a run that was stopped goes
on from its checkpoint exactly as it would have.
"""

import argparse
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network import MASK_STRIDE, StrokeNet, to_channels
from training.augment import augment
from training.checkpoint import load_weights, save_weights
from training.data import Split, assert_disjoint, split_cases
from training.ema import RunningMean
from training.journal import Journal
from training.loop import Run, descend, flop_per_slice, make_optimiser, report, steps
from training.loss import label_loss, mask_loss
from training.pool import Pool, SliceBatch, SliceDraw, StudyBatch, StudyDraw, unpack
from training.prepare import prepare_cases
from training.ranks import Rank, join
from training.recipe import DEVICES, Recipe, load_recipe
from training.schedule import Schedule
from training.usage import measured


def main(arguments: list[str] | None = None) -> int:
    """Train, calibrate, write the package; exit code 0, or 2 for a recipe that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--device", choices=DEVICES, help="default: the recipe's")
    parser.add_argument("--workers", type=int, help="processes that prepare cases; default: the recipe's")
    parser.add_argument("--package", type=Path, help="folder for the package; default: in the out folder")
    parser.add_argument("--weights-only", action="store_true", help="write the weights, but no package")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.recipe)
        given = {name: getattr(options, name) for name in ("device", "workers")}
        recipe = replace(recipe, **{name: value for name, value in given.items() if value is not None})
        rank = join(recipe.device)
        # one process prepares, the others find everything made
        with measured(recipe.out, "prepare", silent=not rank.first):
            cases = prepare_cases(recipe) if rank.first else []
        rank.wait()
        split = split_cases(cases or prepare_cases(recipe), recipe)
    except (OSError, ValueError) as error:
        print(f"{options.recipe}: {error}", file=sys.stderr)
        return 2
    net = train(recipe, split, rank=rank)
    if rank.first and not options.weights_only:
        from training.package import (
            write_package,
        )  # pulls in the ONNX exporter, which training itself does not need

        with measured(recipe.out, "package"):
            write_package(recipe, net, split, options.package or recipe.out / recipe.name)
    rank.close()
    return 0


def train(recipe: Recipe, split: Split, *, rank: Rank | None = None, pool: Pool | None = None) -> StrokeNet:
    """Run both stages; returns the running mean of the weights, on the processor.

    Args:
        recipe: What to train.
        split: Its `train` part is trained on.
        rank: This process among those of the run; by default as `torchrun` says.
        pool: Holds the cases on the device already, so that several runs can share it.

    Raises:
        ValueError: the split leaks, or a source of the recipe's share has no case.
    """
    assert_disjoint(split)
    empty = set(recipe.share) - {case.card.source for case in split.train}
    if empty:
        raise ValueError(f"share names {sorted(empty)}, but no case to train on comes from there")
    rank = rank or join(recipe.device)
    torch.set_num_threads(recipe.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(recipe.seed)
    net = StrokeNet(recipe.network)
    if recipe.start is not None:
        net.load_state_dict(load_weights(recipe.start).state_dict())
    net.to(rank.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in stubs
    journal = Journal(recipe.out, silent=not rank.first)
    journal.note("recipe.json", recipe.to_json())
    run = Run(recipe, rank, net, RunningMean(net, recipe.ema), journal, flop_per_slice(net))
    used = [case for case in split.train if case.card.source in recipe.share]
    pool = Pool(used, rank.device) if pool is None else pool.subset({case.card.name for case in used})
    with measured(recipe.out, "stage 1", silent=not rank.first):
        train_slices(run, pool)
    # the heads go on from the averaged encoder, not from the last noisy one
    net.load_state_dict(run.ema.mean.state_dict())
    run.ema = RunningMean(net, recipe.ema)
    with measured(recipe.out, "stage 2", silent=not rank.first):
        train_studies(run, pool)
    journal.close()
    averaged = run.ema.mean.cpu().eval()
    if rank.first:
        save_weights(recipe.out / "weights.safetensors", averaged)
    return averaged


class SliceModel(nn.Module):
    """Stage 1 as one module, so that processes can share its gradients."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.net, self.autocast = run.net, run.autocast

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) HU to mask logits (N, M, H/2, W/2) and slice logits (N, K)."""
        embedding, drawn = encode(self.net, hu, self.autocast())
        return drawn, self.net.read_slices(embedding, drawn)


class StudyModel(nn.Module):
    """Stage 2 likewise."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.net, self.autocast = run.net, run.autocast
        self.rests = run.recipe.encoder_rate == 0

    def forward(self, hu: Tensor, z: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) HU of several studies to mask logits, slice logits (N, K), study logits (B, K)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.rests):
            embedding, drawn = encode(self.net, hu, self.autocast())
        parts = zip(*(torch.split(each, lengths) for each in (embedding, drawn, z)), strict=True)
        read = [self.net.read(*part) for part in parts]
        return (
            drawn,
            torch.cat([slices for _, slices, _ in read]),
            torch.stack([study for study, _, _ in read]),
        )


def encode(net: StrokeNet, hu: Tensor, precision: AbstractContextManager[None]) -> tuple[Tensor, Tensor]:
    """Embeddings (N, E) and mask logits (N, M, h, w), float32, of slices with their neighbours."""
    channels = to_channels(hu[:, 0], hu[:, 1], hu[:, 2]).to(memory_format=torch.channels_last)
    with precision:
        embedding, drawn = net.encoder(channels)
    return embedding.float(), drawn.float()


def train_slices(run: Run, pool: Pool) -> None:
    """Stage 1: single slices with masks, drawn evenly over kinds of lesion and levels."""
    recipe, net = run.recipe, run.net
    torch.backends.cudnn.benchmark = True  # every batch is of one size
    slices = SliceDraw(pool, recipe.share, positive=recipe.positive, paired=recipe.paired)
    optimiser = make_optimiser(run, [(net, 1.0)])
    schedule = Schedule(recipe.learning_rate, recipe.stage1_steps, recipe.warm_up, recipe.stage1_seconds)
    model = run.rank.share(SliceModel(run))
    mine = recipe.stage1_batch // run.rank.count
    for step in steps(run, 1, schedule, optimiser):
        # draw slices and change their looks
        batch = slices.draw(run.rng(1, step), mine)
        hu, target, ignored = new_look(batch, run.generator(1, step))

        # forward: (N, 3, H, W) HU -> masks (N, M, H/2, W/2), slice logits (N, K)
        net.train()
        drawn, logits = model(hu)

        # masks teach where, labels teach how much of it makes a finding
        masks_loss = mask_loss(drawn, target, batch.known, ignored)
        labels_loss = label_loss(logits, batch.labels, smoothing=recipe.label_smoothing)
        descend(run, optimiser, recipe.mask_weight * masks_loss + labels_loss)
        report(run, 1, step, slices=mine, losses={"mask": masks_loss, "label": labels_loss})


def train_studies(run: Run, pool: Pool) -> None:
    """Stage 2: whole studies; the encoder rests or learns slowly, with the statistics of stage 1."""
    recipe, net = run.recipe, run.net
    torch.backends.cudnn.benchmark = False  # studies differ in length
    studies = StudyDraw(pool, recipe.share, paired=recipe.paired)
    net.encoder.requires_grad_(recipe.encoder_rate > 0)
    heads = [(module, 1.0) for name, module in net.named_children() if name != "encoder"]
    optimiser = make_optimiser(run, [*heads, (net.encoder, recipe.encoder_rate)])
    optimiser.add_param_group({"params": [net.study_evidence], "weight_decay": 0.0, "part": 1.0})
    schedule = Schedule(
        recipe.stage2_learning_rate, recipe.stage2_steps, recipe.warm_up, recipe.stage2_seconds
    )
    model = run.rank.share(StudyModel(run))
    mine = max(1, recipe.stage2_batch // run.rank.count)
    for step in steps(run, 2, schedule, optimiser):
        batch = studies.draw(run.rng(2, step), mine)
        hu, target, ignored = new_look(batch.slices, run.generator(2, step), batch)
        net.train()
        net.encoder.eval()
        drawn, slices, study = model(hu, batch.z, batch.lengths)
        study_loss = label_loss(study, batch.labels, smoothing=recipe.label_smoothing)
        slice_loss = label_loss(slices, batch.slices.labels, smoothing=recipe.label_smoothing)
        loss = study_loss + 0.3 * slice_loss
        if recipe.encoder_rate > 0:
            loss = loss + 0.3 * recipe.mask_weight * mask_loss(drawn, target, batch.slices.known, ignored)
        descend(run, optimiser, loss)
        losses = {"study": study_loss, "slice": slice_loss}
        report(run, 2, step, slices=len(hu), losses=losses)


def new_look(
    batch: SliceBatch, generator: torch.Generator, studies: StudyBatch | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Augmented HU (N, 3, H, W), wanted masks (N, M, H/2, W/2) and ignored pixels (N, H/2, W/2)."""
    groups = None if studies is None else studies.groups
    hu, bits = augment(batch.hu, batch.bits, generator, groups=groups)
    masks, ignored = unpack(bits)
    ignored = functional.max_pool2d(ignored[:, None], MASK_STRIDE)[:, 0]
    return hu, functional.avg_pool2d(masks, MASK_STRIDE), ignored


if __name__ == "__main__":
    sys.exit(main())
