"""From cases to batches: patient-disjoint splits, and slices drawn evenly over the kinds of lesion."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.network import MASKS, STROKE_TYPES
from training.cases import IGNORE_BIT, Case

MIN_PIXELS = 10
"""Fewer lesion pixels than this in a slice, and its label is unknown; none, and it is 0."""


@dataclass(frozen=True, slots=True)
class Split:
    """Cases by purpose; no patient is in two of them."""

    train: list[Case]
    calibration: list[Case]
    test: list[Case]


@dataclass(frozen=True, slots=True)
class SliceBatch:
    """Slices with the one below and above; N slices, K types, M masks."""

    hu: Tensor
    """(N, 3, H, W) float32 HU: below, itself, above."""
    bits: Tensor
    """(N, H, W) float32 holding the masks' bit field, exact below 2**24."""
    known: Tensor
    """(N, M): 1 where the case vouches for the mask."""
    labels: Tensor
    """(N, K): 0, 1 or NaN for unknown."""


def split_patients(cases: Sequence[Case], held_out: tuple[float, float]) -> Split:
    """Part the cases by a hash of the patient, so that adding cases moves none from one part to another."""
    split = Split([], [], [])
    for case in cases:
        draw = _draw(case.card.patient)
        if draw < held_out[0]:
            split.calibration.append(case)
        elif draw < sum(held_out):
            split.test.append(case)
        else:
            split.train.append(case)
    return split


def assert_disjoint(split: Split) -> None:
    """Guard against leakage.

    Raises:
        ValueError: a patient is in two parts; the text names some.
    """
    parts = [{case.card.patient for case in part} for part in (split.train, split.calibration, split.test)]
    shared = (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])
    if shared:
        raise ValueError(f"patients in more than one part of the split: {sorted(shared)[:5]}")


def _draw(patient: str) -> float:
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:4], "big") / 2**32


def slice_labels(case: Case) -> npt.NDArray[np.float32]:
    """Labels of every slice, (slices, K): 0, 1, or NaN where nobody knows."""
    labels = np.full((len(case.hu), len(STROKE_TYPES)), np.nan, np.float32)
    for index, name in enumerate(MASKS):
        pixels = (case.masks >> index & 1).sum(axis=(1, 2))
        labels[pixels >= MIN_PIXELS, index] = 1
        if name in case.card.known_masks:
            labels[pixels == 0, index] = 0
    if (
        case.card.source == "sich"
    ):  # where there is no haematoma there may be blood of another kind, but seldom
        labels[labels[:, 0] == 0, :6] = 0
    labels[list(case.card.unsure_slices)] = np.nan
    return labels


def study_labels(case: Case) -> npt.NDArray[np.float32]:
    """Labels of the study, (K): 0, 1 or NaN."""
    return np.array([case.card.labels.get(name, np.nan) for name in STROKE_TYPES], np.float32)


class SliceDraw:
    """Draws class-balanced batches of slices by source."""

    def __init__(self, cases: Sequence[Case], share: dict[str, float], positive: float) -> None:
        self.cases, self.share, self.positive = cases, share, positive
        self.labels = [slice_labels(case) for case in cases]
        self.with_type: dict[str, dict[int, list[tuple[int, int]]]] = {name: {} for name in share}
        self.without: dict[str, list[tuple[int, int]]] = {name: [] for name in share}
        self.bright: dict[str, list[tuple[int, int]]] = {name: [] for name in share}
        for number, case in enumerate(cases):
            if case.card.source in share:
                self._sort_slices(number, case)

    def _sort_slices(self, number: int, case: Case) -> None:
        source = case.card.source
        for index, labels in enumerate(self.labels[number]):
            kinds = np.flatnonzero(labels[1 : len(MASKS)] == 1) + 1
            for kind in kinds:
                self.with_type[source].setdefault(int(kind), []).append((number, index))
            if len(kinds) == 0 and labels[0] == 0:
                self.without[source].append((number, index))
                inner = case.hu[index][40:-40, 40:-40] if case.hu.shape[1] >= 128 else case.hu[index]
                if ((inner > 48) & (inner < 90)).sum() > 40:
                    self.bright[source].append((number, index))

    def draw(self, rng: np.random.Generator, count: int) -> SliceBatch:
        """Draw a batch; equal generators give equal batches."""
        names = list(self.share)
        chances = np.array([self.share[name] for name in names])
        picks = [self._pick(str(name), rng) for name in rng.choice(names, size=count, p=chances)]
        return self._stack(picks)

    def _pick(self, source: str, rng: np.random.Generator) -> tuple[int, int]:
        kinds = self.with_type[source]
        if kinds and (rng.random() < self.positive or not self.without[source]):
            spots = kinds[int(rng.choice(sorted(kinds)))]
        else:
            spots = self.without[source]
            if self.bright[source] and rng.random() < 0.5:
                spots = self.bright[source]
        return spots[int(rng.integers(len(spots)))]

    def _stack(self, picks: list[tuple[int, int]]) -> SliceBatch:
        hu, bits, known, labels = [], [], [], []
        for number, index in picks:
            case = self.cases[number]
            last = len(case.hu) - 1
            hu.append(case.hu[[max(index - 1, 0), index, min(index + 1, last)]])
            bits.append(case.masks[index])
            known.append([_vouched(case, index, name) for name in MASKS])
            labels.append(self.labels[number][index])
        return SliceBatch(
            hu=torch.from_numpy(np.stack(hu).astype(np.float32)),
            bits=torch.from_numpy(np.stack(bits).astype(np.float32)),
            known=torch.tensor(known, dtype=torch.float32),
            labels=torch.from_numpy(np.stack(labels)),
        )


def _vouched(case: Case, index: int, name: str) -> float:
    if name in case.card.known_masks:
        return 1.0
    # a real slice without any haematoma vouches for every kind of haemorrhage
    clean = case.card.source == "sich" and name in MASKS[:6] and not (case.masks[index] & 1).any()
    return float(clean)


def unpack(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Bit fields (N, H, W) into masks (N, M, H, W) and the ignored pixels (N, H, W), float 0 or 1."""
    whole = bits.to(torch.int32)
    planes = torch.stack([(whole >> index) & 1 for index in range(len(MASKS))], dim=1)
    return planes.float(), ((whole >> IGNORE_BIT) & 1).float()
