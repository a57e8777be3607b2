"""Put lesions into a real head that has none: a hospital's negatives become positives with masks.

Blood lies in the head's own sulci, ventricles and brain and on its own inner table, with soft edges and the
head's own grain. The same paste without blood (`twin_case`) stays negative, so that pasting is no cue.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from model.stroke import StrokeType
from training.bleeds import BLEEDS, wobble
from training.cases import IGNORE_BIT, Case, FloatArray, pack_masks
from training.ground import BoolArray, Ground, bounds
from training.ischaemia import clot, darken, territory

MIN_MM3 = 60.0
"""Smaller lesions are not drawn: no label could rest on them."""
MIN_CHANGE_HU = 5.0
"""Bleeds that are less bright than this above what they cover are drawn anew."""
MASK_FROM = {StrokeType.SAH: 0.4, StrokeType.SDH: 0.4, StrokeType.HYPERDENSE_ARTERY: 0.35}
"""Weight from which a voxel counts, where it is not a half: thin things never fill one."""
TRIES = 3
"""Of a place for a lesion that came out too small."""
ISCHAEMIC = (StrokeType.ACUTE_ISCHAEMIA, StrokeType.HYPERDENSE_ARTERY)
PUSHING_ML = 3.0
"""Bleeds of the brain from which it gives way."""


def insert_case(
    case: Case,
    ground: Ground,
    *,
    seed: int,
    grid_mm: float,
    kinds: Sequence[str] | None = None,
    size: float | None = None,
) -> Case | None:
    """Put lesions into a head without any.

    Args:
        case: The head; its labels for other findings are kept.
        ground: Its survey.
        seed: Draws all that is not given.
        grid_mm: Millimetres per pixel.
        kinds: Stroke types; one to three bleeds, or ischaemia in every fifth head, when None.
        size: Factor on the usual size; drawn when None.

    Returns:
        The head with the lesions, their masks and labels; None where nothing of a lesion came about.
    """
    rng = np.random.default_rng((11, seed))
    wanted = draw_kinds(rng) if kinds is None else tuple(StrokeType(kind) for kind in kinds)
    hu = ground.hu.copy()
    masks: dict[str, BoolArray] = {}
    for kind in wanted:
        for _ in range(TRIES):
            factor = float(np.clip(rng.lognormal(0, 0.35), 0.4, 2.5)) if size is None else size
            painted, mask = (
                ischaemia(ground, hu, kind, rng, factor)
                if kind in ISCHAEMIC
                else bleed(ground, hu, kind, rng, factor, blood=True)
            )
            if large_enough(mask, ground, kind) and (kind in ISCHAEMIC or shows(painted - hu, mask)):
                hu, masks[str(kind)] = painted, mask
                break
    if not masks:
        return None
    bits = pack_masks(masks, hu.shape) | (case.masks & np.uint16(1 << IGNORE_BIT))
    labels = {**case.card.labels, **dict.fromkeys(masks, 1)}
    if set(masks) & set(BLEEDS):
        labels[StrokeType.ANY_ICH] = 1
    card = replace(
        case.card,
        name=f"inserted-{bare_name(case)}-{seed}",
        source="inserted",
        labels=labels,
        known_masks=tuple(dict.fromkeys([*case.card.known_masks, *masks])),
    )
    return Case(card, np.round(hu).astype(np.int16), bits)


def large_enough(mask: BoolArray, ground: Ground, kind: StrokeType) -> bool:
    """Whether a lesion has a size that a label can rest on; a clot in an artery is small."""
    return bool(mask.sum() * ground.grid_mm**2 * ground.spacing_mm > (8 if kind in ISCHAEMIC else MIN_MM3))


def shows(change: FloatArray, mask: BoolArray) -> bool:
    """Whether a bleed is brighter than what it covers: nobody is judged on what nobody could see."""
    return bool(change[mask].mean() > MIN_CHANGE_HU)


def twin_case(case: Case, ground: Ground, *, seed: int, grid_mm: float) -> Case:
    """Pastes drawn like those of `insert_case`, with brain or fluid in place of blood: still negative."""
    rng = np.random.default_rng((11, seed))
    hu = ground.hu.copy()
    for kind in draw_kinds(rng):
        factor = float(np.clip(rng.lognormal(0, 0.35), 0.4, 2.5))
        if kind not in ISCHAEMIC:
            hu, _ = bleed(ground, hu, kind, rng, factor, blood=False)
    card = replace(case.card, name=f"twin-{bare_name(case)}-{seed}", source="decoy")
    return Case(card, np.round(hu).astype(np.int16), case.masks)


def bare_name(case: Case) -> str:
    """The name of a head without the words of its set."""
    return case.card.name.removeprefix("clean-").removeprefix("sich-")


def draw_kinds(rng: np.random.Generator) -> tuple[StrokeType, ...]:
    """Draw what is wrong with a head."""
    if rng.random() < 0.2:
        return ISCHAEMIC if rng.random() < 0.25 else ISCHAEMIC[:1]
    count = int(rng.choice([1, 2, 3], p=[0.62, 0.28, 0.10]))
    kinds = list(BLEEDS)
    return tuple(kinds[int(k)] for k in rng.choice(len(kinds), size=count, replace=False))


def bleed(
    ground: Ground, hu: FloatArray, kind: StrokeType, rng: np.random.Generator, size: float, *, blood: bool
) -> tuple[FloatArray, BoolArray]:
    """Paint one bleed, or tissue in its place; return the head and the mask of the bleed."""
    weight = (np.clip(BLEEDS[kind](ground, rng, size), 0, 1) * ground.inside).astype(np.float32)
    where = bounds(weight > 0, margin=14)
    if where is None:
        return hu, np.zeros(hu.shape, np.bool_)
    weight[where] = ndimage.gaussian_filter(weight[where], (0.3, 0.55, 0.55), truncate=2.5)
    weight[(weight < 0.01) | ~ground.inside] = 0
    if kind is StrokeType.IPH and weight.sum() * ground.grid_mm**2 * ground.spacing_mm > 1000 * PUSHING_ML:
        hu = push(ground, hu, weight > 0.5, float(rng.uniform(0.1, 0.35)))
    out = hu.copy()
    part, w = out[where], weight[where]
    grain = ground.grain(rng)[where]
    dense = float(rng.uniform(*((52, 74) if kind is StrokeType.IPH else (50, 76))))
    dense = dense if rng.random() < 0.85 else float(rng.uniform(40, 50))
    uneven = wobble(ground, rng, 7.0)[where] * np.float32(rng.uniform(0.5, 3.5))
    if kind is StrokeType.IPH and rng.random() < 0.15:
        uneven -= 13 * np.clip(wobble(ground, rng, 9.0)[where], 0, 1.5)  # swirl: blood not yet clotted
    rim = oedema(w, ground, rng) if kind is StrokeType.IPH else None
    if blood:
        if rim is not None:
            pale = rim * (1 - ground.csf[where]) * (part < 60)
            part += pale * np.minimum(0, rng.uniform(15, 22) + grain - part)
        target = np.maximum(dense + uneven, 36) + grain
    else:
        target = tissue_like(part, ground.inside[where]) + 0.3 * uneven + grain
    painted = np.maximum(target, part) if blood and kind is not StrokeType.IPH else target
    part[...] = part * (1 - w) + painted * w
    mask = np.zeros(hu.shape, np.bool_)
    mask[where] = w > MASK_FROM.get(kind, 0.5)
    return out, mask


def ischaemia(
    ground: Ground, hu: FloatArray, kind: StrokeType, rng: np.random.Generator, size: float
) -> tuple[FloatArray, BoolArray]:
    """Darken a territory, or fill an artery with clot; return the head and the mask."""
    if kind is StrokeType.ACUTE_ISCHAEMIA:
        member = territory(ground, rng, size)
        return darken(ground, hu, member, float(rng.uniform(1.5, 48)), rng), member > 0.5
    weight = ndimage.gaussian_filter(clot(ground, rng), (0.2, 0.45, 0.45))
    dense = float(rng.uniform(52, 78))
    return hu + weight * np.maximum(dense - hu, 0), weight > MASK_FROM[kind]


def oedema(weight: FloatArray, ground: Ground, rng: np.random.Generator) -> FloatArray:
    """A pale rim round a bleed, 0..1, outside of it."""
    spacing = (ground.spacing_mm, ground.grid_mm, ground.grid_mm)
    away = ndimage.distance_transform_edt(weight < 0.5, sampling=spacing).astype(np.float32)
    wide = float(rng.uniform(1.0, 7.0))
    rim: FloatArray = np.clip(1.2 - away / wide, 0, 1) * np.float32(rng.uniform(0.3, 0.95))
    return rim


def tissue_like(hu: FloatArray, inside: BoolArray) -> FloatArray:
    """What lies here without its grain, skull left out of the mean."""
    held = inside.astype(np.float32)
    total = ndimage.gaussian_filter(
        np.where(inside, np.clip(hu, -10, 60), 0).astype(np.float32), (0, 1.6, 1.6)
    )
    share = ndimage.gaussian_filter(held, (0, 1.6, 1.6))
    plain: FloatArray = np.where(share > 0.05, total / np.maximum(share, 0.05), hu)
    return plain


def push(ground: Ground, hu: FloatArray, mask: BoolArray, yields: float) -> FloatArray:
    """Move the brain round a bleed outwards, within its slices; the skull stays.

    Args:
        ground: The head's survey.
        hu: The head.
        mask: Where the blood will lie.
        yields: How far tissue at its edge moves, as a part of its radius.
    """
    out = hu.copy()
    for number in np.flatnonzero(mask.any(axis=(1, 2))):
        area = float(mask[number].sum())
        radius = float(np.sqrt(area / np.pi))
        where = bounds(mask[number : number + 1], margin=int(2.5 * radius) + 6)
        if where is None or radius * yields < 0.4:
            continue
        box = where[1:]
        middle = ndimage.center_of_mass(mask[number])
        rows, columns = np.mgrid[box].astype(np.float32)
        y, x = rows - middle[0], columns - middle[1]
        away = np.hypot(y, x) + 1e-3
        far = np.clip((away - radius) / (1.3 * radius), 0, None)
        step = yields * radius * np.exp(-far * far) * np.clip(away / radius, 0, 1)
        step *= np.clip(ground.depth_mm[number][box] / 10, 0, 1)
        source = np.stack([rows - step * y / away, columns - step * x / away])
        source -= np.array([box[0].start, box[1].start], np.float32)[:, None, None]
        plane = np.clip(hu[number][box], -100, 200)
        moved = ndimage.map_coordinates(plane, source, order=3, mode="nearest")
        out[number][box] = np.where(step > 0.05, moved, hu[number][box])
    return out
