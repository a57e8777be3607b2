"""The trap, measured: `python -m training.trap --sich DIR`

A plain ResNet18 that only learns which slices of the public set bleed scores well on the set's unseen
patients. Every patient there bleeds, and at the level of the basal ganglia, so it may have learned that level
and not the blood. Its scores of the same slices without their bleed tell: they should be those of any slice.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional

from training.bootstrap import Resamples, ranking
from training.data import fold_of
from training.judgement import plain
from training.sich import read_patients, read_study
from training.twins import Twins, make_twins

SIDE, GRID_MM = 96, 2.3
FOLDS = 5
BATCH = 32
RATE = 1e-3
SENSITIVITY = 0.95

Looks = dict[str, list[tuple[str, float]]]
"""By look (annotated, twin, other): patient and score of each slice."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices as a classifier sees them: (N, 1, H, W) of 0..1, with their labels."""

    pixels: Tensor
    labels: Tensor


def read_twins(folder: Path, patients: Sequence[str]) -> list[Twins]:
    """Patients of the set, small, with and without their bleeds."""
    studies = (read_study(folder, patient, side=SIDE, grid_mm=GRID_MM) for patient in patients)
    return [make_twins(study) for study in studies if study.boxes]


def as_pixels(hu: npt.NDArray[np.float32]) -> Tensor:
    """The set's own window as 0..1, (N, 1, H, W)."""
    return torch.from_numpy(np.clip((hu + 20) / 120, 0, 1).astype(np.float32))[:, None]


def as_slices(twins: Sequence[Twins]) -> Slices:
    """What the set offers to a classifier: its slices, and whether each is annotated."""
    pixels = torch.cat([as_pixels(each.study.hu) for each in twins])
    labels = [float(number in each.annotated) for each in twins for number in range(len(each.study.hu))]
    return Slices(pixels, torch.tensor(labels))


def plain_classifier() -> nn.Module:
    """ResNet18 with one output."""
    widths = [64, 128, 256, 512]
    return ResNet(
        "basic", [2, 2, 2, 2], widths, spatial_dims=2, n_input_channels=1, num_classes=1, conv1_t_stride=2
    )


def train_classifier(slices: Slices, *, epochs: int, seed: int = 0) -> nn.Module:
    """Train it as anybody would: shuffled slices, mirrored at random, cross-entropy."""
    torch.manual_seed(seed)
    net = plain_classifier().train()
    steps = epochs * (len(slices.labels) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=max(steps, 1))
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        started, total = time.monotonic(), 0.0
        order = torch.randperm(len(slices.labels), generator=generator)
        for batch in torch.split(order, BATCH):
            if len(batch) < BATCH:
                continue
            pixels = slices.pixels[batch]
            if torch.rand(1, generator=generator) < 0.5:
                pixels = pixels.flip(3)
            loss = functional.binary_cross_entropy_with_logits(net(pixels)[:, 0], slices.labels[batch])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        taken = time.monotonic() - started
        print(
            f"epoch {epoch + 1}/{epochs}  loss {total * BATCH / len(slices.labels):.4f}  {taken:.0f} s",
            file=sys.stderr,
        )
    return net.eval()


def score(net: nn.Module, hu: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Logit of each slice (S, H, W)."""
    with torch.inference_mode():
        return np.asarray(net(as_pixels(hu))[:, 0].numpy(), np.float64)


def look(net: nn.Module, twins: Sequence[Twins]) -> Looks:
    """Scores of unseen patients: as they are, and without their bleed."""
    looks: Looks = {"annotated": [], "twin": [], "other": []}
    for each in twins:
        whole, without = score(net, each.study.hu), score(net, each.without)
        patient = each.study.patient
        looks["annotated"] += [(patient, float(whole[number])) for number in each.annotated]
        looks["twin"] += [(patient, float(without[number])) for number in each.annotated]
        looks["other"] += [(patient, float(whole[number])) for number in each.other]
    return looks


def compare(looks: Looks, positive: str, negative: str) -> dict[str, Any] | None:
    """AUROC of two looks, with an interval by drawing patients."""
    rows = [*looks[positive], *looks[negative]]
    labels = [1] * len(looks[positive]) + [0] * len(looks[negative])
    draws = Resamples([patient for patient, _ in rows])
    return plain(draws.figure(ranking([value for _, value in rows], labels)))


def measure(looks: Looks) -> dict[str, Any]:
    """What it seems to reach, and what it reaches."""
    flag = float(np.quantile([value for _, value in looks["annotated"]], 1 - SENSITIVITY, method="lower"))
    return {
        "num_patients": len({patient for patient, _ in looks["annotated"]}),
        "num_annotated": len(looks["annotated"]),
        "num_other": len(looks["other"]),
        "slice_auroc": compare(looks, "annotated", "other"),
        "paired_auroc": compare(looks, "annotated", "twin"),
        "level_auroc": compare(looks, "twin", "other"),
        "called_bleeding_at_95_sensitivity": {
            name: round(float(np.mean([value >= flag for _, value in rows])), 4)
            for name, rows in looks.items()
        },
    }


def as_text(report: dict[str, Any]) -> str:
    """The table."""
    words = {
        "slice_auroc": "annotated against other slices: what such a classifier is praised for",
        "paired_auroc": "annotated slices against themselves without their bleed",
        "level_auroc": "slices without their bleed against other slices: 0.5 if it looked for blood",
    }
    counts = "{num_patients} unseen patients, {num_annotated} annotated slices, {num_other} others"
    lines = ["plain ResNet18, " + counts.format(**report)]
    for name, text in words.items():
        figure = report[name]
        lines.append(f"{name:<13} {figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})  {text}")
    called = report["called_bleeding_at_95_sensitivity"]
    lines.append(
        "called bleeding at 95 % sensitivity: "
        + ", ".join(f"{name} {part:.1%}" for name, part in called.items())
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, print the table; exit code 0, or 2 where the set cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m training.trap", description=__doc__.partition("\n")[0])
    parser.add_argument("--sich", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fold", type=int, default=0, help="which fifth of the patients is unseen")
    parser.add_argument("--most", type=int, help="no more patients than this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        patients = read_patients(options.sich)[: options.most]
        unseen = [patient for patient in patients if fold_of(f"sich-{patient}", FOLDS) == options.fold]
        known = [patient for patient in patients if patient not in unseen]
        train, test = read_twins(options.sich, known), read_twins(options.sich, unseen)
        if not train or not test:
            raise ValueError(
                f"fold {options.fold} of {len(patients)} patients leaves {len(train)} and {len(test)}"
            )
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    report = measure(look(train_classifier(as_slices(train), epochs=options.epochs), test))
    print(as_text(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
