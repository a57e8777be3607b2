"""What is wrong with a simulated head: lesions as asked for, placed, and how they push the brain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from model.phantom_grid import Array, Grid, Point, stream
from model.stroke import StrokeType

T = TypeVar("T")

KINDS: dict[str, StrokeType] = {
    "iph": StrokeType.IPH,
    "ivh": StrokeType.IVH,
    "sah": StrokeType.SAH,
    "sdh": StrokeType.SDH,
    "edh": StrokeType.EDH,
    "infarct": StrokeType.ACUTE_ISCHAEMIA,
    "acute_ischaemia": StrokeType.ACUTE_ISCHAEMIA,
    "hyperdense_artery": StrokeType.HYPERDENSE_ARTERY,
    "old_infarct": StrokeType.OLD_INFARCT,
}

BLEEDS = (StrokeType.IPH, StrokeType.IVH, StrokeType.SAH, StrokeType.SDH, StrokeType.EDH)
MASS_EFFECT_MM = 3.0
"""Midline shift from which a head is labelled with mass effect."""

IPH_SITES: dict[str, tuple[Point, float]] = {
    "putamen": ((27, 0, 5), 0.32),
    "thalamus": ((13, 18, 7), 0.18),
    "caudate": ((14, -15, 10), 0.05),
    "frontal": ((30, -32, 28), 0.13),
    "parietal": ((36, 42, 30), 0.12),
    "temporal": ((44, 12, -12), 0.08),
    "occipital": ((22, 66, 8), 0.04),
    "pons": ((2, 25, -30), 0.05),
    "cerebellum": ((22, 60, -32), 0.07),
}
INFARCT_SITES: dict[str, tuple[Point, Point, float]] = {
    "mca": ((42, 0, 14), (24, 38, 26), 0.42),
    "insula": ((35, 0, 5), (9, 22, 14), 0.10),
    "aca": ((9, -34, 30), (9, 28, 26), 0.06),
    "lacune": ((20, 4, 10), (6, 6, 6), 0.19),
    "pca": ((20, 66, 4), (18, 24, 18), 0.14),
    "cerebellar": ((26, 62, -34), (20, 20, 12), 0.09),
}
SDH_SITES: dict[str, float] = {
    "acute": 0.56,
    "isodense": 0.11,
    "chronic": 0.13,
    "mixed": 0.08,
    "falcine": 0.07,
    "tentorial": 0.05,
}
"""On the convexity by density, or along the dura (acute), with their odds."""
HOURS = (2.5, 60.0)
"""Range of the time since onset that is drawn for an acute infarct."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion as asked for; what is None is drawn from the seed."""

    kind: str
    """A key of `KINDS`."""
    size: float | None = None
    """Factor on the usual size: 0.5 small, 1 usual, 2 large."""
    side: str | None = None
    """The patient's `left` or `right`."""
    site: str | None = None
    """A key of the site table of its kind."""
    hours: float | None = None
    """Since onset, of an acute infarct; the older it is, the darker."""


@dataclass(frozen=True, slots=True)
class PlacedLesion:
    """A lesion with its place in head mm."""

    kind: str
    stroke_type: StrokeType
    seed: int
    index: int
    side: int
    """+1 left, -1 right."""
    site: str
    size: float
    centre: Point
    radii: Point
    shift_mm: float
    """How far it pushes the midline."""
    hours: float = 12.0
    """Since onset."""

    def stream(self, concern: str) -> np.random.Generator:
        """Return this lesion's own random numbers."""
        return stream(self.seed, f"lesion {self.index} {self.kind} {concern}")


def place_lesion(seed: int, index: int, lesion: Lesion | str) -> PlacedLesion:
    """Draw what was left open of a lesion.

    Raises:
        ValueError: the kind, side or site is unknown.
    """
    wish = Lesion(lesion) if isinstance(lesion, str) else lesion
    if wish.kind not in KINDS:
        raise ValueError(f"unknown lesion {wish.kind!r}; known: {', '.join(KINDS)}")
    if wish.side not in (None, "left", "right"):
        raise ValueError(f"unknown side {wish.side!r}; known: left, right")
    rng = stream(seed, f"lesion {index} {wish.kind} plan")
    side = int(rng.choice((-1, 1))) if wish.side is None else (1 if wish.side == "left" else -1)
    drawn = float(np.clip(rng.lognormal(0.0, 0.38), 0.35, 2.2))
    size = drawn if wish.size is None else wish.size
    site, centre, radii, shift = place(KINDS[wish.kind], wish.site, side, size, rng)
    hours = float(np.exp(rng.uniform(*np.log(HOURS)))) if wish.hours is None else wish.hours
    if KINDS[wish.kind] is StrokeType.ACUTE_ISCHAEMIA:
        shift *= min(1.0, hours / 24)
    return PlacedLesion(
        wish.kind, KINDS[wish.kind], seed, index, side, site, size, centre, radii, shift, hours
    )


def ischaemic_drop_hu(hours: float) -> float:
    """How much darker grey matter is, some hours after its artery closed: 2.3 HU at 1.5 h, 9 at a day.

    Water uptake takes some 2.5 HU from tissue for every percent, fastest at first.
    """
    return 1.0 + 8.5 * (1 - float(np.exp(-hours / 9.0)))


def place(
    stroke_type: StrokeType, site: str | None, side: int, size: float, rng: np.random.Generator
) -> tuple[str, Point, Point, float]:
    """Return site, centre, radii and midline shift of a lesion of one type."""
    stretch = rng.uniform(0.8, 1.3, 3)
    jitter = rng.uniform(-4, 4, 3)
    odds = rng.random()
    if stroke_type is StrokeType.IPH:
        site = site or pick({k: v[1] for k, v in IPH_SITES.items()}, odds)
        radius = 12.5 * size * (0.6 if site in ("thalamus", "pons") else 1.0)
        middle = known(IPH_SITES, site)[0]
        radii = (radius * stretch[0] * 0.9, radius * stretch[1] * 1.15, radius * stretch[2])
        supra = site not in ("pons", "cerebellum")
        return site, moved(middle, side, jitter), floats(radii), supra * max(0.0, 0.5 * (radius - 9))
    if stroke_type in (StrokeType.ACUTE_ISCHAEMIA, StrokeType.OLD_INFARCT):
        site = site or pick({k: v[2] for k, v in INFARCT_SITES.items()}, odds)
        middle, usual, _ = known(INFARCT_SITES, site)
        grow = min(size, 1.35) * (0.7 if stroke_type is StrokeType.OLD_INFARCT else 1.0)
        radii = tuple(grow * u * s for u, s in zip(usual, np.clip(stretch, 0.85, 1.2), strict=True))
        swollen = stroke_type is StrokeType.ACUTE_ISCHAEMIA and site == "mca"
        spread = 2.0 if site == "lacune" else 1.0
        return site, moved(middle, side, spread * jitter), floats(radii), swollen * max(0.0, 5 * (size - 1))
    if stroke_type is StrokeType.SDH:
        site = site or pick(SDH_SITES, odds)
        known(SDH_SITES, site)
        thick = (3.4 if site in ("falcine", "tentorial") else 6.5) * size * float(stretch[0])
        centre = (side * 60.0, 17 + 22 * float(rng.uniform(-1, 1)), 25 + 12 * float(rng.uniform(-1, 1)))
        return site, centre, (thick, 58.0 * float(stretch[1]), 36.0 * float(stretch[2])), 0.5 * thick
    if stroke_type is StrokeType.EDH:
        thick = 13.0 * size * float(stretch[0])
        centre = (side * 60.0, 10 + 30 * float(rng.uniform(-1, 1)), 16 + 16 * float(rng.uniform(-1, 1)))
        return (
            site or "acute",
            centre,
            (thick, 30.0 * float(stretch[1]), 28.0 * float(stretch[2])),
            0.3 * thick,
        )
    return site or "usual", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.0


def known(table: dict[str, T], site: str) -> T:
    """Look a site up."""
    if site not in table:
        raise ValueError(f"unknown site {site!r}; known: {', '.join(table)}")
    return table[site]


def pick(odds: dict[str, float], at: float) -> str:
    """Choose by odds; `at` is uniform in 0..1."""
    total = np.cumsum(list(odds.values()))
    return list(odds)[int(np.searchsorted(total / total[-1], at))]


def moved(middle: Point, side: int, jitter: np.ndarray) -> Point:
    """Mirror a left-sided point to a side and move it a little."""
    return side * (middle[0] + float(jitter[0])), middle[1] + float(jitter[1]), middle[2] + float(jitter[2])


def floats(radii: Sequence[float]) -> Point:
    """Return three plain floats."""
    return float(radii[0]), float(radii[1]), float(radii[2])


def press(grid: Grid, lesions: Sequence[PlacedLesion]) -> tuple[Grid, Array | float]:
    """Move the brain away from lesions that take room; return its grid and how far sulci are shut."""
    pushing = [lesion for lesion in lesions if lesion.shift_mm > 0.4]
    if not pushing:
        return grid, 0.0
    x, y, z = grid.x.copy(), grid.y, grid.z
    effaced = np.zeros(grid.shape, np.float32)
    for lesion in pushing:
        cx, cy, cz = lesion.centre
        far = ((y - cy) / 58) ** 2 + ((z - cz) / 45) ** 2
        hold = np.clip(1 - (grid.x / 66) ** 2, 0, 1)
        x += np.float32(lesion.side * lesion.shift_mm) * np.exp(-far) * hold
        near = ((grid.x - cx) / (lesion.radii[0] + 26)) ** 2 + far
        np.maximum(effaced, min(0.95, 0.3 + 0.12 * lesion.shift_mm) * np.exp(-near), out=effaced)
    slack = max(lesion.shift_mm for lesion in pushing) * len(pushing)
    return Grid(x, y, z, grid.axes, grid.spacing, grid.head_to_voxel, slack), effaced
