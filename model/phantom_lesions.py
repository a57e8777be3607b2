"""Draw the lesions of a simulated head and say which voxels they hold."""

from collections.abc import Callable, Sequence

import numpy as np

from model.phantom_anatomy import CSF_HU, Head
from model.phantom_grid import Array, Box, Point, ramp
from model.phantom_plan import PlacedLesion, ischaemic_drop_hu
from model.stroke import StrokeType

Drawn = Array
"""Membership 0..1 of every voxel of the grid in the lesion."""


def blank(head: Head) -> Array:
    """Return an empty membership."""
    return np.zeros(head.grid.shape, np.float32)


def rough_depth(head: Head, lesion: PlacedLesion, grow: float, ragged: float) -> tuple[Box, Array]:
    """Return the depth below an uneven surface: an ellipsoid with lumps large and small."""
    rng = lesion.stream("surface")
    radii = tuple(r + grow for r in lesion.radii)
    turn = float(rng.uniform(-0.7, 0.7))
    box, depth = head.grid.ellipsoid(
        lesion.centre, (radii[0], radii[1], radii[2]), turn=turn, margin=3 * ragged + 6
    )
    small = min(lesion.radii)
    depth = depth + ragged * head.grid.noise(rng, max(3.0, 0.8 * small), box)
    return box, depth + 0.35 * ragged * head.grid.noise(rng, max(2.0, 0.3 * small), box)


def draw_iph(head: Head, lesion: PlacedLesion) -> Drawn:
    """Draw a parenchymal bleed: lumpy, 55-80 HU, denser in the middle, with a rim of oedema."""
    rng = lesion.stream("blood")
    ragged = 0.22 * min(lesion.radii)
    box, depth = rough_depth(head, lesion, 0.0, ragged)
    inside = ramp(head.depth[box] - 0.8, 1.0)
    edge = min(float(np.exp(rng.uniform(0.4, 1.7))), 0.8 * min(lesion.radii))
    part = ramp(depth, edge) * inside
    rim = float(rng.uniform(1.5, 7.0)) * min(1.3, lesion.size)
    swollen = ramp(depth + rim * (1 + 0.4 * head.grid.noise(rng, 10.0, box)), rim) * inside
    swollen *= (1 - head.csf[box]) * float(rng.uniform(0.45, 0.95))
    head.put(box, swollen, float(rng.uniform(16, 23)))
    value = rng.uniform(50, 70) + 4 * ramp(depth - 2, 8.0) + 3.0 * head.grid.noise(rng, 6.0, box)
    if rng.random() < 0.15 and lesion.size > 1:
        value -= 14 * np.clip(head.grid.noise(rng, 9.0, box), 0, 1.5)  # swirl: blood not yet clotted
    head.put(box, part, value.astype(np.float32))
    whole = blank(head)
    whole[box] = part
    return whole


def draw_ivh(head: Head, lesion: PlacedLesion) -> Drawn:
    """Draw blood in the ventricles: a level lying on the back wall, one side, or a cast."""
    rng = lesion.stream("blood")
    way = rng.random()
    if way < 0.55:
        level = 58 - 26 * min(lesion.size, 1.6) * rng.uniform(0.5, 1.2)
        held = ramp(head.grid.y - np.float32(level), 3.0)
    elif way < 0.8:
        held = ramp(head.grid.x * lesion.side + 4, 4.0)
    else:
        held = np.ones(head.grid.shape, np.float32)
    patchy = ramp(head.grid.noise(rng, 8.0) + 1.3, 0.8)
    part = head.ventricles * held * patchy
    head.put((slice(None),) * 3, part, float(rng.uniform(50, 72)))
    return part


def draw_sah(head: Head, lesion: PlacedLesion) -> Drawn:
    """Draw blood in the fluid of cisterns, fissures or sulci."""
    rng = lesion.stream("blood")
    grid = head.grid
    outside = head.csf * (1 - head.ventricles) * head.inside
    if rng.random() < 0.72 or lesion.site == "basal":
        centre: Point = (8.0 * lesion.side, 0.0, -12.0)
        radii: Point = (46 * lesion.size**0.3, 38.0, 26.0)
    else:
        centre = (44.0 * lesion.side, float(rng.uniform(-35, 45)), float(rng.uniform(20, 50)))
        radii = (26.0, 26 * lesion.size, 20.0)
    box, depth = grid.ellipsoid(centre, radii, margin=8)
    place = ramp(depth + 5 * grid.noise(rng, 14.0, box), 9.0)
    part = blank(head)
    part[box] = place * outside[box]
    fill = np.clip(1.7 * part, 0, 1)
    dense = float(rng.uniform(46, 66))
    head.hu += fill * np.clip(dense - np.maximum(head.hu, CSF_HU), 0, None)
    return part


def crescent(head: Head, lesion: PlacedLesion, rng: np.random.Generator) -> Array:
    """Return where a subdural of the convexity lies."""
    grid = head.grid
    thick, along, up = lesion.radii
    angle = np.arctan2(grid.y - 17, np.maximum(grid.x * lesion.side, 0.1))
    middle = float(np.arctan2(lesion.centre[1] - 17, 60.0))
    half = min(1.35, along / 62)
    away, height = (angle - middle) / np.float32(half), (grid.z - lesion.centre[2]) / np.float32(up)
    profile = 1 - (away * away) ** 2 - (height * height) ** 2
    profile = thick * np.sqrt(np.clip(profile, 0, 1)) * (1 + 0.12 * grid.noise(rng, 22.0))
    part = ramp(profile - head.vault, 1.2) * head.inside * ramp(profile - 0.8, 0.8)
    part *= ramp(grid.x * lesion.side - 2, 2.0) * ramp(-head.below, 1.0) * ramp(grid.z + 18, 6.0)
    return part


def beside_dura(head: Head, lesion: PlacedLesion, rng: np.random.Generator) -> Array:
    """Return where a subdural along the falx or on the tentorium lies."""
    grid, thick = head.brain, lesion.radii[0] * (1 + 0.2 * head.grid.noise(rng, 16.0))
    if lesion.site == "falcine":
        away = grid.x * lesion.side + 0.6
        centre = 62.0 if lesion.centre[1] > 10 else -35.0
        sheet = ramp(40 - np.abs(grid.y - np.float32(centre)), 12.0) * ramp(grid.z + 8, 4.0)
        sheet *= ramp(-head.below, 1.0)
    else:
        away = -head.below
        sheet = ramp(grid.y - 30, 5.0) * ramp(grid.z + 22, 4.0) * ramp(grid.x * lesion.side - 4, 4.0)
    return ramp(np.minimum(away, thick - away), 1.0) * sheet * head.inside * ramp(head.depth - 0.5, 1.0)


def draw_sdh(head: Head, lesion: PlacedLesion) -> Drawn:
    """Draw a crescent between brain and skull, or a film along falx or tentorium."""
    rng = lesion.stream("blood")
    dense = {"acute": rng.uniform(54, 74), "isodense": rng.uniform(30, 40), "chronic": rng.uniform(14, 24)}
    value = float(dense.get(lesion.site, rng.uniform(54, 70))) + 3.0 * head.grid.noise(rng, 9.0)
    settled = rng.random()
    part = (beside_dura if lesion.site in ("falcine", "tentorial") else crescent)(head, lesion, rng)
    if lesion.site == "mixed":
        value -= 30 * ramp(head.grid.noise(rng, 13.0), 0.8)  # old or unclotted blood beside fresh
    if lesion.site == "chronic" and settled < 0.5:
        value += 30 * ramp(head.grid.y - np.float32(lesion.centre[1] + 20), 12.0)  # fresh blood settles
    head.replace_tissue(part, value.astype(np.float32))
    return part


def draw_edh(head: Head, lesion: PlacedLesion) -> Drawn:
    """Draw a lens between skull and dura."""
    rng = lesion.stream("blood")
    grid = head.grid
    thick, along, up = lesion.radii
    across = np.where(grid.x * lesion.side > 0, grid.y - np.float32(lesion.centre[1]), 999)
    square = 1 - (across / along) ** 2 - ((grid.z - lesion.centre[2]) / up) ** 2
    profile = thick * np.clip(square, 0, 1) * (1 + 0.08 * grid.noise(rng, 18.0))
    part = ramp(profile - head.vault, 1.2) * head.inside * ramp(profile - 1.0, 1.0)
    part *= ramp(-head.below, 1.0)
    value = float(rng.uniform(58, 76)) + 3.5 * grid.noise(rng, 8.0)
    head.replace_tissue(part, value.astype(np.float32))
    return part


def draw_infarct(head: Head, lesion: PlacedLesion) -> Drawn:
    """Darken a territory; grey matter loses more, so that its contrast to white matter fades."""
    rng = lesion.stream("depth")
    box, depth = rough_depth(head, lesion, 0.0, 0.18 * min(lesion.radii))
    part = ramp(depth, 0.35 * min(lesion.radii)) * ramp(head.depth[box] - 0.5, 1.0) * (1 - head.csf[box])
    part *= ramp(head.grid.x[box] * lesion.side - 1.5, 1.5)
    if lesion.site != "cerebellar":
        part *= ramp(-head.below[box], 1.5)
    drop = ischaemic_drop_hu(lesion.hours) * float(rng.uniform(0.8, 1.25))
    drop *= 1.25 if lesion.site == "lacune" else 1.0
    head.hu[box] -= part * drop * (0.55 + 0.6 * head.grey[box]) * (head.hu[box] < 60)
    shut = min(1.0, lesion.hours / 24) * ramp(depth, 3.0) * (head.csf[box] - head.ventricles[box])
    head.hu[box] += 0.6 * np.clip(shut, 0, 1) * np.clip(24 - head.hu[box], 0, None)  # swelling shuts sulci
    whole = blank(head)
    whole[box] = part
    return whole


def draw_old_infarct(head: Head, lesion: PlacedLesion) -> Drawn:
    """Draw a scar: near to water, sharp against the brain, with a paler rim."""
    rng = lesion.stream("depth")
    box, depth = rough_depth(head, lesion, -0.15 * min(lesion.radii), 0.25 * min(lesion.radii))
    inside = ramp(head.depth[box] - 0.5, 1.0) * ramp(head.grid.x[box] * lesion.side - 2, 2.0)
    inside *= ramp(-head.below[box] if lesion.site != "cerebellar" else head.below[box], 1.5)
    part = ramp(depth, 2.0) * inside
    head.put(box, 0.45 * ramp(depth + 4, 6.0) * inside, 20.0)
    value = float(rng.uniform(7, 17)) + 3.0 * head.grid.noise(rng, 7.0, box)
    head.put(box, part, value.astype(np.float32))
    whole = blank(head)
    whole[box] = part
    return whole


def draw_hyperdense_artery(head: Head, lesion: PlacedLesion) -> Drawn:
    """Fill one middle cerebral artery with clot."""
    rng = lesion.stream("clot")
    word = "left" if lesion.side > 0 else "right"
    whole = blank(head)
    dense = float(rng.uniform(58, 78))
    for name in (f"mca_{word}", f"sylvian_{word}")[: 1 + int(rng.random() < 0.5)]:
        box, part = head.vessels[name]
        head.put(box, np.clip(1.3 * part, 0, 1), dense)
        np.maximum(whole[box], part, out=whole[box])
    return whole


DRAW: dict[StrokeType, Callable[[Head, PlacedLesion], Drawn]] = {
    StrokeType.OLD_INFARCT: draw_old_infarct,
    StrokeType.ACUTE_ISCHAEMIA: draw_infarct,
    StrokeType.HYPERDENSE_ARTERY: draw_hyperdense_artery,
    StrokeType.IPH: draw_iph,
    StrokeType.IVH: draw_ivh,
    StrokeType.SAH: draw_sah,
    StrokeType.SDH: draw_sdh,
    StrokeType.EDH: draw_edh,
}
"""In the order of drawing: blood lies over what was there before."""

MASK_FROM: dict[StrokeType, float] = {StrokeType.SAH: 0.3, StrokeType.HYPERDENSE_ARTERY: 0.35}
"""Membership from which a voxel counts; thin things never fill a voxel."""


def draw_lesions(head: Head, lesions: Sequence[PlacedLesion]) -> dict[StrokeType, np.ndarray]:
    """Draw every lesion and return a boolean mask per stroke type that is present."""
    masks: dict[StrokeType, np.ndarray] = {}
    for stroke_type, draw in DRAW.items():
        for lesion in lesions:
            if lesion.stroke_type is stroke_type:
                held = draw(head, lesion) > MASK_FROM.get(stroke_type, 0.5)
                masks[stroke_type] = masks[stroke_type] | held if stroke_type in masks else held
    return masks
