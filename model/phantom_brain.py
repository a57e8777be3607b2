"""The simulated brain: grey and white matter, sulci, ventricles, cisterns, dura, vessels, calcifications."""

import numpy as np

from model.phantom_anatomy import CSF_HU, Head
from model.phantom_grid import Array, Box, Point, make_texture, ramp, stream

SULCUS_MM = 4.6
"""Features of the sulcal noise; neighbouring sulci lie about three of them apart."""


def draw_sulci(head: Head) -> None:
    """Cut sulci that run from the surface inwards, and lay the cortex along them."""
    grid, build = head.brain, head.build
    rng = stream(head.seed, "sulci")
    where = (head.depth > -1) & (head.depth < 34) & ((head.below < 1) | (head.depth > head.below + 3))
    x, y, z = grid.x[where], grid.y[where] - 17, grid.z[where] - 5
    depth = head.depth[where]
    radius = np.sqrt(x * x + y * y + z * z) + 1
    pull = (70 + 0.35 * (radius - 70)) / radius  # radial features are three times longer than tangential
    texture = make_texture(rng, SULCUS_MM / 0.85, 190.0)
    wander = make_texture(rng, 16.0, 220.0)
    bend = 3.5 * wander.at(x, y, z)
    nearest = SULCUS_MM * np.abs(texture.at(x * pull + bend, y * pull - bend, z * pull + bend))
    reach = 15 + 5 * wander.at(y, z, x)
    away = np.sqrt(nearest**2 + np.clip(depth - reach, 0, None) ** 2)
    # beside the falx of the young there is no fluid to be seen
    narrow = np.float32(0.9 * (1 - build.atrophy) - 0.6)
    medial = np.clip(np.abs(x) + narrow, 0, None) + 40 * ((z < 24) & (np.abs(y) < 42))
    away = np.minimum(away, medial)
    half = (0.35 + 1.1 * build.atrophy) * (1 + 0.35 * wander.at(z, x, y))
    if isinstance(head.effaced, np.ndarray):
        half = half * (1 - head.effaced[where])
    pixel = 0.5 * (grid.spacing[1] + 0.25 * grid.spacing[0])
    head.csf[where] = np.clip((half - away) / pixel + 0.5, 0, 1) * np.minimum(1, 2 * half / pixel)
    rim = np.minimum(away - half, depth - build.gap_mm)
    head.grey[where] = np.clip((3.6 - rim) / 1.8 + 0.5, 0, 1)


def draw_deep_grey(head: Head) -> None:
    """Mark thalamus, lentiform, caudate, insula and the grey of the posterior fossa."""
    for side in (-1, 1):
        for centre, radii, turn in (
            ((11 * side, 18, 7), (8, 14, 9), -0.35 * side),
            ((24 * side, 1, 3), (6.5, 16, 9), 0.3 * side),
            ((14 * side, -15, 9), (4.5, 9, 10), 0.3 * side),
            ((37 * side, 2, 4), (2.6, 20, 13), 0.0),
        ):
            box, part = head.brain_shape(centre, radii, edge=2.0, turn=turn)
            np.maximum(head.grey[box], part, out=head.grey[box])
    rng = stream(head.seed, "cerebellum")
    inside = ramp(head.below, 1.5)
    folia = 0.55 + 0.25 * head.grid.noise(rng, 4.0)
    rim = ramp(9 - head.below, 8.0)
    head.grey *= 1 - inside
    head.grey += inside * np.clip(0.35 * folia + 0.55 * rim, 0, 1)
    for centre, radii in (
        ((0, 25, -31), (17, 13, 15)),
        ((0, 34, -52), (9, 9, 18)),
        ((0, 22, -11), (17, 12, 9)),
    ):
        box, part = head.brain_shape(centre, radii)
        head.csf[box] *= 1 - part
        head.grey[box] += part * (0.38 - head.grey[box])


def ventricle_shapes(size: float) -> list[tuple[Point, Point, float]]:
    """Return centre, radii and turn of each part of the ventricles."""
    shapes: list[tuple[Point, Point, float]] = [
        ((0, 16, 2), (1.3 * size, 13, 9), 0.0),
        ((0, 45, -32), (5.5 + size, 4.2, 8), 0.0),
    ]
    for side in (-1, 1):
        shapes += [
            ((8.5 * side, -19, 11), (3.2 * size, 13, 8), 0.38 * side),
            ((9.5 * side, 3, 21), (4.2 * size, 22, 5 + size), -0.1 * side),
            ((16 * side, 27, 18), (4.0 * size, 15, 6), -0.5 * side),
            ((23 * side, 41, 11), (4.4 * size, 10, 9), -0.3 * side),
            ((24 * side, 57, 9), (2.4 * size, 13, 4), 0.1 * side),
            ((33 * side, 14, -15), (1.5 * size, 14, 2.5), 0.0),
        ]
    return shapes


def draw_fluid(head: Head) -> None:
    """Fill ventricles, cisterns and the Sylvian fissures, and the rim between brain and skull."""
    build, rng = head.build, stream(head.seed, "fluid")
    lean = rng.uniform(-0.18, 0.18)
    for centre, radii, turn in ventricle_shapes(build.ventricle):
        wide = 1 + lean * np.sign(centre[0])
        box, part = head.brain_shape(centre, (radii[0] * wide, radii[1], radii[2]), edge=1.6, turn=turn)
        np.maximum(head.ventricles[box], part, out=head.ventricles[box])
    draw_cavum(head)
    np.maximum(head.csf, head.ventricles, out=head.csf)
    loose = 1 + 0.7 * build.atrophy
    cisterns: list[tuple[Point, Point, float]] = [
        ((0, 1, -17), (12, 8 * loose, 6), 0.0),
        ((0, 12, -27), (13, 3.0 * loose, 15), 0.0),
        ((0, 37, -3), (11, 3.0 * loose, 6), 0.0),
        ((0, 88, -48), (9, 5 * loose, 9), 0.0),
        ((0, 50, -62), (14, 8, 6), 0.0),
        ((0, -35, -5), (1.1 * loose, 30, 28), 0.0),
    ]
    for side in (-1, 1):
        cisterns += [
            ((41 * side, 1, 4), (1.3 * loose, 17, 11), 0.0),
            ((49 * side, -5, 3), (9, 1.3 * loose, 8), -0.35 * side),
            ((27 * side, -6, -14), (14, 1.6 * loose, 3), -0.1 * side),
            ((18 * side, 24, -10), (1.8 * loose, 12, 8), -0.45 * side),
            ((22 * side, 20, -34), (7, 4 * loose, 7), 0.5 * side),
        ]
    for centre, radii, turn in cisterns:
        box, part = head.brain_shape(centre, radii, edge=2.0, turn=turn)
        if isinstance(head.effaced, np.ndarray):
            part = part * (1 - 0.8 * head.effaced[box])
        np.maximum(head.csf[box], 0.95 * part, out=head.csf[box])
    np.maximum(head.csf, ramp(build.gap_mm - head.depth, 1.0 + 0.2 * head.grid.spacing[0]), out=head.csf)
    for centre, radii in (
        ((0, 25, -31), (16, 11, 14)),
        ((0, 34, -52), (8, 8, 18)),
        ((0, 22, -11), (15, 10, 8)),
    ):
        box, part = head.brain_shape(centre, radii)
        head.csf[box] *= 1 - part * (1 - head.ventricles[box])


def draw_cavum(head: Head) -> None:
    """Part the two leaves of the septum where the head has a cavum."""
    if head.build.cavum_mm:
        box, part = head.brain_shape((0, -8, 14), (head.build.cavum_mm, 22, 8), edge=1.2)
        np.maximum(head.ventricles[box], part, out=head.ventricles[box])


def paint_brain(head: Head) -> None:
    """Turn the fractions of fluid and grey matter into HU."""
    build, rng = head.build, stream(head.seed, "tissue")
    tissue = build.white + (build.grey - build.white) * head.grey
    tissue += 0.7 * head.grid.noise(rng, 9.0)
    if build.atrophy > 0.35:
        pale_white_matter(head, tissue, float(rng.uniform(0, 7)) * build.atrophy)
    fluid = CSF_HU + rng.uniform(-3, 3)
    tissue += head.csf * (fluid - tissue)
    head.tissue = np.asarray(tissue, np.float32)
    head.put((slice(None),) * 3, head.inside, head.tissue)


def pale_white_matter(head: Head, tissue: Array, drop: float) -> None:
    """Darken white matter round the lateral ventricles, as small-vessel disease does."""
    for side in (-1, 1):
        for centre, radii in (
            ((15 * side, -26, 14), (11, 11, 12)),
            ((17 * side, 5, 24), (10, 30, 9)),
            ((27 * side, 46, 14), (11, 16, 12)),
        ):
            box, depth = head.brain.ellipsoid(centre, radii)
            tissue[box] -= drop * ramp(depth, 9.0) * (1 - head.grey[box])


def draw_dura(head: Head) -> None:
    """Draw falx, tentorium and the venous sinuses."""
    grid, rng = head.brain, stream(head.seed, "dura")
    inside = ramp(head.depth, 1.0)
    draw_falx(head, inside, rng)
    tent = np.exp(-((head.below / 0.9) ** 2)) * (grid.z > -24) * (grid.y > 30) * (head.depth > 1)
    head.put((slice(None),) * 3, 0.55 * tent.astype(np.float32), 48.0)
    draw_sinuses(head, rng.uniform(44, 58) + head.build.blood)


def draw_falx(head: Head, inside: Array, rng: np.random.Generator) -> None:
    """Draw the falx, now and then calcified."""
    grid = head.brain
    box = grid.box((0, 17, 30), (5, 100, 75))
    x, y, z = grid.x[box], grid.y[box], grid.z[box]
    sheet = np.exp(-((x / 0.75) ** 2)) * (head.below[box] < 0) * (z > -12)
    sheet *= ((y < -24) | (y > 46) | (z > 38)).astype(np.float32) * (0.55 + 0.25 * (y > 40))
    hard = 1.0
    if head.build.atrophy > 0.4 and rng.random() < 0.35:
        hard = 1 + 2.5 * np.clip(grid.noise(rng, 9.0, box) - 1.0, 0, 2)
    head.put(box, sheet * inside[box], 47.0 * hard)


def draw_sinuses(head: Head, blood: float) -> None:
    """Draw the dural sinuses: they are bright by nature and must not be taken for a bleed."""
    grid = head.brain
    box = grid.box((0, 17, 30), (8, 100, 75))
    depth = head.depth[box]
    width = 4.2 * (1 - depth / 8.5)
    sagittal = ramp(width - np.abs(grid.x[box]), 1.2) * ramp(depth, 1.0) * (depth < 8.5) * (grid.z[box] > -8)
    sagittal = (sagittal * ((grid.y[box] > 30) | (grid.z[box] > 35))).astype(np.float32)
    add_vessel(head, "sagittal", box, sagittal, blood)
    for name, centre, radii, turn in (
        ("torcula", (0, 96, -9), (8, 9, 6), 0.0),
        ("transverse_left", (28, 88, -13), (27, 7, 4.5), -0.42),
        ("transverse_right", (-28, 88, -13), (27, 7, 4.5), 0.42),
        ("sigmoid_left", (49, 50, -32), (4.5, 6, 16), 0.0),
        ("sigmoid_right", (-49, 50, -32), (4.5, 6, 16), 0.0),
        ("straight", (0, 64, 4), (1.6, 18, 3), 0.0),
    ):
        box, part = head.brain_shape(centre, radii, turn=turn)
        near = 1.0 if name == "straight" else ramp(8 - head.depth[box], 2.0)
        add_vessel(head, name, box, part * ramp(head.depth[box], 1.0) * near, blood)


def draw_arteries(head: Head) -> None:
    """Draw the arteries at the base."""
    blood = stream(head.seed, "blood").uniform(38, 45) + 0.7 * head.build.blood
    shapes: list[tuple[str, Point, Point, float]] = [("basilar", (0, 11.5, -28), (1.8, 1.8, 14), 0.0)]
    for side, word in ((-1, "right"), (1, "left")):
        shapes += [
            (f"mca_{word}", (21 * side, -5, -13), (14, 1.6, 2.0), -0.12 * side),
            (f"sylvian_{word}", (40 * side, -6, -4), (6, 1.5, 5), -0.4 * side),
            (f"ica_{word}", (9 * side, -3, -20), (2.2, 2.2, 6), 0.0),
            (f"aca_{word}", (1.6 * side, -16, -3), (1.2, 9, 12), 0.0),
            (f"pca_{word}", (12 * side, 18, -15), (12, 1.4, 1.6), 0.5 * side),
        ]
    for name, centre, radii, turn in shapes:
        box, part = head.brain_shape(centre, radii, edge=1.2, turn=turn)
        add_vessel(head, name, box, part * ramp(head.depth[box], 1.0), blood)


def add_vessel(head: Head, name: str, box: Box, part: Array, blood: float) -> None:
    """Paint a vessel and remember where it runs."""
    head.put(box, part, blood)
    head.vessels[name] = (box, part)


def draw_calcifications(head: Head) -> None:
    """Draw the calcifications that healthy people carry."""
    rng = stream(head.seed, "calcium")
    age = 0.3 + 0.7 * head.build.atrophy
    spots: list[tuple[float, Point, Point]] = [(0.8 * age, (0, 33, 2), (2.2, 2.4, 2.6))]
    for side in (-1, 1):
        spots += [
            (0.75 * age, (23 * side, 42, 11), (2.4, 3.8, 3.5)),
            (0.14 * age, (19 * side, 1, 1), (3, 5, 3)),
            (0.25 * age, (10 * side, -3, -22), (2.5, 2.5, 2.5)),
        ]
    for chance, centre, radii in spots:
        if rng.random() < chance:
            box, depth = head.brain.ellipsoid(centre, radii, margin=2)
            rough = depth + 0.8 * head.brain.noise(rng, 3.0, box)
            head.put(box, ramp(rough, 1.2), float(rng.uniform(110, 420)))


def draw_brain(head: Head) -> None:
    """Draw everything inside the skull of a healthy head."""
    draw_sulci(head)
    draw_deep_grey(head)
    draw_fluid(head)
    paint_brain(head)
    draw_arteries(head)
    draw_dura(head)
    draw_calcifications(head)
