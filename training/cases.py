"""A training case: one head on the network's grid, with what is known of it, as .npy files in a cache folder.

Masks are one uint16 bit field of shape (slices, side, side): bit k is mask k of `network.MASKS`,
bit 15 marks pixels that nobody vouches for, which the loss leaves out.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.network import MASKS

IGNORE_BIT = 15
HAEMORRHAGES = MASKS[:6]

Int16Array = npt.NDArray[np.int16]
BitField = npt.NDArray[np.uint16]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CaseCard:
    """What is known of a case besides its pixels."""

    name: str
    source: str
    """sich, clean (a SICH head without its bleed), painted or decoy (a clean head with a simulated bleed,
    with what looks like one), phantom, template (a head from a CT template), inserted (a real normal head
    with a simulated lesion), infarct (AISD slices), real (an imported study)."""
    patient: str
    """Splits never part the cases of one patient."""
    spacing_mm: float
    known_masks: tuple[str, ...]
    """Mask names that are right where they are zero, too."""
    labels: dict[str, int] = field(default_factory=dict)
    """Study labels by stroke type, 0 or 1; a missing one is unknown."""
    unsure_slices: tuple[int, ...] = ()
    """Slices whose labels nobody vouches for."""
    slice_ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By stroke type the first and last slice of every stretch that shows it, where a reader gave them."""
    hospital: str = ""
    """Empty where unknown."""
    month: str = ""
    """Of acquisition, as YYYY-MM; empty where unknown."""
    part: str = ""
    """Of the split that was frozen with its data set; empty where the recipe decides."""
    fingerprints: tuple[str, ...] = ()
    """Hashes of the slices that show a head, for the guard against leakage; `save_case` fills them in."""


@dataclass(frozen=True, slots=True)
class Case:
    """Pixels of shape (slices, side, side) in HU, slice 0 most inferior, with masks and card."""

    card: CaseCard
    hu: Int16Array
    masks: BitField

    def z(self) -> FloatArray:
        """The network's second input: mm below the top / 100 and slice spacing in mm / 10."""
        count = len(self.hu)
        below_top = (count - 1 - np.arange(count)) * self.card.spacing_mm
        spacing = np.full(count, self.card.spacing_mm)
        return np.stack([below_top / 100, spacing / 10], axis=1).astype(np.float32)


def pack_masks(masks: dict[str, npt.NDArray[np.bool_]], shape: tuple[int, ...]) -> BitField:
    """Fold named masks into one bit field; any_ich becomes the union of all haemorrhages."""
    bits = np.zeros(shape, np.uint16)
    for name, mask in masks.items():
        bits |= mask.astype(np.uint16) << MASKS.index(name)
        if name in HAEMORRHAGES:
            bits |= mask.astype(np.uint16)
    return bits


READERS = 8
"""Threads that read cases; they wait for the disk, not for the processor."""
HEAD_SHARE = 0.15
"""Of a slice's pixels that are not air; emptier slices get no fingerprint, for empty ones are alike."""


def fingerprints(hu: Int16Array) -> tuple[str, ...]:
    """A hash of each slice that shows a head."""
    shown = [image for image in hu if (image > -200).mean() > HEAD_SHARE]
    return tuple(hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest() for image in shown)


def save_case(case: Case, folder: Path) -> None:
    """Write a case; the card goes last, so that a case with a card is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    case = Case(replace(case.card, fingerprints=fingerprints(case.hu)), case.hu, case.masks)
    np.save(folder / f"{case.card.name}.hu.npy", case.hu)
    np.save(folder / f"{case.card.name}.masks.npy", case.masks)
    (folder / f"{case.card.name}.json").write_text(json.dumps(asdict(case.card)), encoding="utf-8")


def load_case(card_path: Path) -> Case:
    """Read one case by the path of its card."""
    fields = json.loads(card_path.read_text(encoding="utf-8"))
    for name in ("known_masks", "unsure_slices", "fingerprints"):
        fields[name] = tuple(fields[name])
    fields["slice_ranges"] = {
        kind: [(first, last) for first, last in rows] for kind, rows in fields["slice_ranges"].items()
    }
    card = CaseCard(**fields)
    hu = np.load(card_path.with_name(f"{card.name}.hu.npy"))
    masks = np.load(card_path.with_name(f"{card.name}.masks.npy"))
    return Case(card=card, hu=hu, masks=masks)


def load_cases(folders: Iterable[Path]) -> list[Case]:
    """Read all cases of some folders, in the order of their names."""
    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(load_case, paths))


def patients(cases: Sequence[Case]) -> list[str]:
    """The patients of some cases, sorted, each once."""
    return sorted({case.card.patient for case in cases})
