"""All cases of a run as a few large tensors on its device, and draws of slices and studies from them.

What is drawn is decided on the processor from numbers alone; pixels never leave the device.
Letters: N drawn slices, K types, M masks.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.network import MASKS
from training.cases import IGNORE_BIT, Case
from training.labels import slice_labels, study_labels, vouched_masks

LEVEL_MM = 20.0
"""Slices of one level lie within this; levels are drawn more evenly than they come."""
BRIGHT_HU, TOO_BRIGHT_HU, NUM_BRIGHT = 48, 90, 40
"""A slice without a bleed that has this many pixels in between is worth showing more often."""
MIN_STUDY_SLICES = 6
LONE = 0.06
"""How often a slice is shown without its neighbours, as slice sets with gaps would."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SliceBatch:
    """Slices with the one below and above."""

    hu: Tensor
    """(N, 3, H, W) float32 HU: below, itself, above."""
    bits: Tensor
    """(N, H, W) float32 holding the masks' bit field, exact below 2**24."""
    known: Tensor
    """(N, M): 1 where the case vouches for the mask."""
    labels: Tensor
    """(N, K): 0, 1 or NaN for unknown."""


@dataclass(frozen=True, slots=True)
class StudyBatch:
    """Whole studies, their slices one after another."""

    slices: SliceBatch
    groups: Tensor
    """(N,): the number of each slice's study."""
    lengths: list[int]
    """Slices by study."""
    z: Tensor
    """(N, 2)."""
    labels: Tensor
    """(studies, K)."""


class Pool:
    """Pixels, labels and masks of cases on one device."""

    def __init__(self, cases: Sequence[Case], device: torch.device) -> None:
        self.cases, self.device = list(cases), device
        self.length: Ints = np.array([len(case.hu) for case in cases], np.int64)
        self.first: Ints = np.cumsum(self.length) - self.length
        shape = (int(self.length.sum()), *cases[0].hu.shape[1:])
        self.hu = torch.empty(shape, dtype=torch.int16, device=device)
        self.bits = torch.empty(shape, dtype=torch.int16, device=device)
        for case, ids in zip(cases, self.places(), strict=True):
            self.hu[ids[0] : ids[-1] + 1] = torch.from_numpy(case.hu)
            self.bits[ids[0] : ids[-1] + 1] = torch.from_numpy(case.masks.view(np.int16))
        self.bright = _by_slice(self.hu, _num_bright) > NUM_BRIGHT
        pixels = np.split(_by_slice(self.bits, _num_pixels), self.first[1:])
        labels = [slice_labels(case, found) for case, found in zip(cases, pixels, strict=True)]
        self.slice_labels: Floats = np.concatenate(labels)
        self.known = np.concatenate(
            [vouched_masks(case, found) for case, found in zip(cases, pixels, strict=True)]
        )
        self.study_labels: Floats = np.stack([study_labels(case) for case in cases])

    def places(self) -> list[Ints]:
        """By case the numbers of its slices."""
        return [
            np.arange(first, first + length) for first, length in zip(self.first, self.length, strict=True)
        ]

    def subset(self, names: Collection[str]) -> "Pool":
        """Some cases of the pool, by name; pixels are shared, not copied."""
        some = copy.copy(self)
        numbers = [number for number, case in enumerate(self.cases) if case.card.name in names]
        some.cases = [self.cases[number] for number in numbers]
        some.length, some.first = self.length[numbers], self.first[numbers]
        some.study_labels = self.study_labels[numbers]
        return some

    def gather(self, ids: Ints, below: Ints, above: Ints) -> SliceBatch:
        """Slices by number with the numbers of their neighbours."""
        wanted = torch.from_numpy(np.stack([below, ids, above], axis=1)).to(self.device, non_blocking=True)
        return SliceBatch(
            hu=self.hu[wanted].float(),
            bits=(self.bits[wanted[:, 1]].to(torch.int32) & 0xFFFF).float(),
            known=torch.from_numpy(self.known[ids].astype(np.float32)).to(self.device, non_blocking=True),
            labels=torch.from_numpy(self.slice_labels[ids]).to(self.device, non_blocking=True),
        )


class SliceDraw:
    """Draws batches of slices by source, evenly over the kinds of lesion and over the levels of the head."""

    def __init__(self, pool: Pool, share: Mapping[str, float], *, positive: float, paired: float) -> None:
        self.pool, self.positive, self.paired = pool, positive, paired
        self.level = np.zeros(len(pool.slice_labels), np.int64)
        self.source = np.full(len(pool.slice_labels), "", dtype=object)
        self.below, self.above = np.empty_like(self.level), np.empty_like(self.level)
        self.with_type: dict[str, dict[int, Levels]] = {}
        self.without: dict[str, Levels | None] = {}
        self.bright: dict[str, Levels | None] = {}
        self.twins: dict[tuple[str, int, int], list[int]] = {}
        self.place_of: dict[int, tuple[str, int, int]] = {}
        for case, ids in zip(pool.cases, pool.places(), strict=True):
            self._place(case, ids)
        # a source whose studies are labelled as a whole has no slices to show
        self.names = [name for name in share if self._sort(name)]
        if not self.names:
            raise ValueError(f"no case of {', '.join(share)} has labelled slices")
        chances = np.array([share[name] for name in self.names])
        self.chances = chances / chances.sum()

    def _place(self, case: Case, ids: Ints) -> None:
        self.level[ids] = (case.z()[:, 0] * 100 / LEVEL_MM).astype(np.int64)
        self.source[ids] = case.card.source
        self.below[ids] = np.maximum(ids - 1, ids[0])
        self.above[ids] = np.minimum(ids + 1, ids[-1])
        for index, number in enumerate(ids.tolist()):
            place = (case.card.patient, len(ids), index)
            self.twins.setdefault(place, []).append(number)
            self.place_of[number] = place

    def _sort(self, source: str) -> bool:
        mine = self.source == source
        found = self.pool.slice_labels[:, 1 : len(MASKS)] == 1
        kinds = {}
        for kind in range(found.shape[1]):
            ids = np.flatnonzero(mine & found[:, kind])
            if len(ids):
                kinds[kind + 1] = Levels(ids, self.level)
        if not kinds:  # real studies may be labelled any_ich alone
            ids = np.flatnonzero(mine & (self.pool.slice_labels[:, 0] == 1))
            kinds = {0: Levels(ids, self.level)} if len(ids) else {}
        clean = mine & ~found.any(axis=1) & (self.pool.slice_labels[:, 0] == 0)
        self.with_type[source] = kinds
        self.without[source] = Levels.of(np.flatnonzero(clean), self.level)
        self.bright[source] = Levels.of(np.flatnonzero(clean & self.pool.bright), self.level)
        return bool(kinds) or self.without[source] is not None

    def draw(self, rng: np.random.Generator, count: int) -> SliceBatch:
        """Draw a batch; equal generators give equal batches."""
        picks: list[int] = []
        while len(picks) < count:
            pick = self._pick(self.names[int(rng.choice(len(self.names), p=self.chances))], rng)
            picks.append(pick)
            if len(picks) < count and rng.random() < self.paired:
                twin = self._twin(pick, rng)
                picks += [] if twin is None else [twin]
        ids = np.array(picks)
        lone = rng.random(count) < LONE
        below, above = np.where(lone, ids, self.below[ids]), np.where(lone, ids, self.above[ids])
        if rng.random() < 0.25:  # some scanners count from the top, some from the bottom
            below, above = above, below
        return self.pool.gather(ids, below, above)

    def _pick(self, source: str, rng: np.random.Generator) -> int:
        kinds, without, bright = self.with_type[source], self.without[source], self.bright[source]
        if kinds and (rng.random() < self.positive or without is None):
            return kinds[int(rng.choice(sorted(kinds)))].pick(rng)
        if bright is not None and rng.random() < 0.5:
            return bright.pick(rng)
        assert without is not None
        return without.pick(rng)

    def _twin(self, pick: int, rng: np.random.Generator) -> int | None:
        """The same slice of the same head with another any_ich; None if there is none."""
        others = self.twins[self.place_of[pick]]
        label = self.pool.slice_labels[pick, 0]
        fit = [other for other in others if self.pool.slice_labels[other, 0] == 1 - label]
        return fit[int(rng.integers(len(fit)))] if fit else None


class Levels:
    """Slices by level of the head; a level is drawn by the root of how many slices it has."""

    def __init__(self, ids: Ints, level: Ints) -> None:
        self.groups = [ids[level[ids] == value] for value in np.unique(level[ids])]
        weights = np.sqrt([len(group) for group in self.groups])
        self.upto = np.cumsum(weights / weights.sum())

    @classmethod
    def of(cls, ids: Ints, level: Ints) -> "Levels | None":
        """None where there is no slice."""
        return cls(ids, level) if len(ids) else None

    def pick(self, rng: np.random.Generator) -> int:
        """One slice."""
        group = self.groups[min(int(np.searchsorted(self.upto, rng.random())), len(self.groups) - 1)]
        return int(group[int(rng.integers(len(group)))])


class StudyDraw:
    """Draws whole studies by source, as another scanner might send them."""

    def __init__(self, pool: Pool, share: Mapping[str, float], *, paired: float) -> None:
        self.pool, self.paired = pool, paired
        fit = [number for number, case in enumerate(pool.cases) if len(case.hu) >= MIN_STUDY_SLICES]
        by_source = {
            name: [number for number in fit if pool.cases[number].card.source == name] for name in share
        }
        self.by_source = {name: numbers for name, numbers in by_source.items() if numbers}
        self.names = list(self.by_source)
        chances = np.array([share[name] for name in self.names])
        self.chances = chances / chances.sum()
        self.by_patient: dict[str, list[int]] = {}
        for number in chain.from_iterable(self.by_source.values()):
            self.by_patient.setdefault(pool.cases[number].card.patient, []).append(number)

    def draw(self, rng: np.random.Generator, count: int) -> StudyBatch:
        """Draw studies; equal generators give equal batches."""
        numbers: list[int] = []
        while len(numbers) < count:
            source = self.names[int(rng.choice(len(self.names), p=self.chances))]
            number = self.by_source[source][int(rng.integers(len(self.by_source[source])))]
            numbers.append(number)
            if len(numbers) < count and rng.random() < self.paired:
                label = self.pool.study_labels[number, 0]
                others = self.by_patient[self.pool.cases[number].card.patient]
                twins = [other for other in others if self.pool.study_labels[other, 0] == 1 - label]
                numbers += [twins[int(rng.integers(len(twins)))]] if twins else []
        parts = [self._as_sent(number, rng) for number in numbers]
        ids = np.concatenate([ids for ids, _ in parts])
        below = np.concatenate([np.concatenate([ids[:1], ids[:-1]]) for ids, _ in parts])
        above = np.concatenate([np.concatenate([ids[1:], ids[-1:]]) for ids, _ in parts])
        lengths = [len(ids) for ids, _ in parts]
        device = self.pool.device
        groups = torch.from_numpy(np.repeat(np.arange(count), lengths)).to(device, non_blocking=True)
        z = torch.from_numpy(np.concatenate([z for _, z in parts])).to(device, non_blocking=True)
        labels = torch.from_numpy(self.pool.study_labels[numbers]).to(device, non_blocking=True)
        return StudyBatch(self.pool.gather(ids, below, above), groups, lengths, z, labels)

    def _as_sent(self, number: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Some studies lack the lowest slices, some every other one, where no lesion is lost by it."""
        case = self.pool.cases[number]
        ids = self.pool.first[number] + np.arange(self.pool.length[number])
        z = case.z()
        lesion = (self.pool.slice_labels[ids, : len(MASKS)] == 1).any(axis=1)
        first = int(rng.integers(0, len(ids) // 4 + 1)) if rng.random() < 0.5 else 0
        if lesion[:first].any():
            first = 0
        ids, z, lesion = ids[first:], z[first:], lesion[first:]
        if rng.random() < 0.1 and len(ids) >= 2 * MIN_STUDY_SLICES and not lesion[1::2].any():
            ids, z = ids[::2], z[::2] * np.array([1.0, 2.0], np.float32)
        jitter = np.array([rng.uniform(-0.15, 0.15), 0.0]), rng.uniform(0.9, 1.1)
        return ids, ((z + jitter[0]) * jitter[1]).astype(np.float32)


CHUNK = 16


def _by_slice(pixels: Tensor, count: Callable[[Tensor], Tensor]) -> npt.NDArray[np.int64]:
    """What a count says of every slice, made on the device a few slices at a time."""
    return torch.cat([count(part) for part in torch.split(pixels, CHUNK)]).cpu().numpy()


def _num_bright(hu: Tensor) -> Tensor:
    """Pixels (T,) in the middle of the image that are as bright as blood."""
    edge = hu.shape[1] // 4
    inner = hu[:, edge:-edge, edge:-edge]
    return ((inner > BRIGHT_HU) & (inner < TOO_BRIGHT_HU)).sum(dim=(1, 2))


def _num_pixels(bits: Tensor) -> Tensor:
    """Pixels (T, M) of every mask."""
    if not bits.any():  # most slices show nothing
        return torch.zeros(len(bits), len(MASKS), dtype=torch.int64, device=bits.device)
    return torch.stack([((bits >> index) & 1).sum(dim=(1, 2)) for index in range(len(MASKS))], dim=1)


def unpack(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Bit fields (N, H, W) into masks (N, M, H, W) and the ignored pixels (N, H, W), float 0 or 1."""
    whole = bits.to(torch.int32)
    planes = torch.stack([(whole >> index) & 1 for index in range(len(MASKS))], dim=1)
    return planes.float(), ((whole >> IGNORE_BIT) & 1).float()
