"""The simulated head before anything is wrong with it: cavity, skull, face, brain, fluid spaces, vessels."""

from dataclasses import dataclass, field

import numpy as np

from model.phantom_grid import Array, Box, Grid, Point, ramp, stream

AIR, FAT, SKIN, MUSCLE, CSF_HU = -1000.0, -95.0, 30.0, 52.0, 7.0
COMPACT, DIPLOE, SPONGY = 1350.0, 650.0, 550.0


@dataclass(frozen=True, slots=True)
class Build:
    """What differs from head to head."""

    width: float
    length: float
    height: float
    skull_mm: float
    scalp_mm: float
    atrophy: float
    """0 young .. 1 very atrophied."""
    ventricle: float
    white: float
    grey: float
    gap_mm: float
    cavum_mm: float
    """Half width of a cavum septi pellucidi; 0 in most heads."""
    blood: float
    """How many HU flowing blood is denser than usual, as in the young and the dry."""


def draw_build(seed: int, age: float) -> Build:
    """Draw the build of a head for an age in years."""
    rng = stream(seed, "build")
    atrophy = float(np.clip((age - 35) / 55 + rng.normal(0, 0.15), 0, 1))
    white = float(rng.normal(29.0, 1.3))
    child = age < 15
    rare = stream(seed, "rare build")
    wide = float(rare.uniform(0.6, 1.3)) if rare.random() < 0.05 else 0.0  # hydrocephalus
    cavum = float(rare.uniform(1.5, 4.5)) if rare.random() < 0.08 else 0.0
    dense = float(rare.uniform(4, 11)) if rare.random() < 0.12 else 0.0
    return Build(
        width=rng.uniform(64, 71) * (0.96 if child else 1.0),
        length=rng.uniform(80, 89) * (0.95 if child else 1.0),
        height=rng.uniform(63, 69),
        skull_mm=rng.uniform(3.0, 4.5) if child else rng.uniform(5.0, 8.5),
        scalp_mm=rng.uniform(4.0, 8.5),
        atrophy=atrophy,
        ventricle=float(0.75 + 0.75 * atrophy + rng.uniform(-0.15, 0.25) + wide),
        white=white,
        grey=white + float(rng.uniform(5.5, 11.0)),
        gap_mm=float(0.5 + 2.2 * atrophy * rng.uniform(0.4, 1.2)) * (0.4 if wide else 1.0),
        cavum_mm=cavum,
        blood=dense,
    )


@dataclass(slots=True)
class Head:
    """The head while it is drawn; arrays are (slices, rows, columns)."""

    seed: int
    grid: Grid
    """True head coordinates, for skull and face."""
    brain: Grid
    """Coordinates moved by mass effect, for what lies in the brain."""
    build: Build
    hu: Array
    depth: Array
    """Millimetres below the inner table, negative outside."""
    vault: Array
    """Millimetres below the convexity, as if the skull had no floor."""
    outline: Array
    """Millimetres below the skin."""
    below: Array
    """Millimetres inside the posterior fossa, negative above the tentorium."""
    csf: Array
    """Part of the voxel that is fluid, 0..1, inside the skull."""
    inside: Array
    """Part of the voxel that lies within the inner table, 0..1; the rest is bone."""
    grey: Array
    """Part of the brain tissue that is grey matter, 0..1."""
    ventricles: Array
    tissue: Array
    """HU of what the inner table holds, without the bone that shares edge voxels with it."""
    effaced: Array | float = 0.0
    """How far sulci are pressed shut, 0..1."""
    vessels: dict[str, tuple[Box, Array]] = field(default_factory=dict)

    def put(self, box: Box, membership: Array, value: Array | float) -> None:
        """Blend a value into the HU of a box."""
        part = self.hu[box]
        part += membership * (value - part)

    def replace_tissue(self, part: Array, value: Array) -> None:
        """Put blood in the place of tissue, leaving the bone of edge voxels as it is."""
        self.hu += part * (value - self.tissue)

    def put_ellipsoid(
        self, centre: Point, radii: Point, value: float, *, edge: float = 1.2, turn: float = 0.0
    ) -> None:
        """Blend a soft ellipsoid of one HU into the head."""
        box, depth = self.grid.ellipsoid(centre, radii, turn=turn)
        self.put(box, ramp(depth, edge), value)

    def brain_shape(
        self, centre: Point, radii: Point, *, edge: float = 1.5, turn: float = 0.0
    ) -> tuple[Box, Array]:
        """Return box and membership of a soft ellipsoid in the (warped) brain."""
        box, depth = self.brain.ellipsoid(centre, radii, turn=turn)
        return box, ramp(depth, edge)


def radial_depth(grid: Grid, centre: Point, radii: Point, low: float | None = None) -> Array:
    """Return the depth along the ray from the centre, true in mm near the surface."""
    x, y, z = grid.x - centre[0], grid.y - centre[1], grid.z - centre[2]
    across = x / (radii[0] * (1 + 0.0011 * y)) if low is not None else x / radii[0]
    upright = z / radii[2] if low is None else z / np.where(z > 0, radii[2], low).astype(np.float32)
    radius = np.sqrt(across**2 + (y / radii[1]) ** 2 + upright**2) + np.float32(1e-4)
    return np.asarray(np.sqrt(x * x + y * y + z * z) * (1 / radius - 1), np.float32)


def fossa_depth(grid: Grid, build: Build) -> Array:
    """Return the depth inside the posterior fossa: a bowl below, a tent above."""
    x, y, z = grid.x / np.float32(0.8 * build.width), (grid.y - 58) / 44, grid.z + 34
    across = x * x + y * y
    bowl = np.sqrt(across + (z / 32) ** 2)
    tent = (across**0.75 + (np.clip(z, 0, None) / 35) ** 1.5) ** np.float32(2 / 3)
    radius = np.where(z > 0, tent, bowl) + np.float32(1e-3)
    return np.asarray(np.sqrt(grid.x**2 + (grid.y - 58) ** 2 + z * z) * (1 / radius - 1), np.float32)


def cavity(seed: int, grid: Grid, build: Build) -> tuple[Array, Array, Array]:
    """Return depth below the inner table, depth inside the posterior fossa, depth of the vault alone."""
    wobble = grid.noise(stream(seed, "wobble"), 45.0)
    vault = radial_depth(grid, (0, 17, 10), (build.width, build.length, build.height), low=76.0)
    vault += 1.3 * wobble
    below = fossa_depth(grid, build) + 0.7 * wobble
    floor = grid.z + 20 + 3 * np.exp(-((grid.x / 9) ** 2)) - 0.02 * np.abs(grid.y)
    depth = np.minimum(vault, floor)
    for side in (-1, 1):
        box, fossa = grid.ellipsoid((36 * side, 3, -22), (26, 33, 22), turn=0.15 * side, margin=12)
        np.maximum(depth[box], fossa, out=depth[box])
    box, canal = grid.ellipsoid((0, 44, -82), (15, 14, 40), margin=12)
    inside = np.minimum(below, vault + 6)
    depth = np.maximum(depth, inside)
    np.maximum(depth[box], canal, out=depth[box])
    for side in (-1, 1):
        box, ridge = grid.ellipsoid((36 * side, 23, -38), (29, 4.5, 11), turn=0.42 * side, margin=4)
        np.minimum(depth[box], -ridge, out=depth[box])
    return depth, below, vault


def skin(grid: Grid, build: Build, vault: Array) -> Array:
    """Return the depth below the skin: vault, face, neck and nose."""
    outline = vault + build.skull_mm + build.scalp_mm
    outline = np.where(grid.z < -45, np.minimum(outline, (grid.z + 65) * 0.9), outline).astype(np.float32)
    for centre, radii in (
        ((0, -14, -62), (63, 72, 70)),
        ((0, 32, -100), (60, 60, 85)),
        ((0, -82, -52), (11, 13, 18)),
    ):
        box, depth = grid.ellipsoid(centre, radii, margin=4)
        np.maximum(outline[box], depth, out=outline[box])
    for side in (-1, 1):
        box, ear = grid.ellipsoid((side * (build.width + 12), 24, -40), (5, 13, 24), turn=0.3 * side)
        np.maximum(outline[box], ear, out=outline[box])
    return outline


def edge_mm(grid: Grid) -> Array:
    """Return how wide a skull edge looks: a pixel across, more where the skull slopes through the slice."""
    upright = np.abs(grid.z - 10) / (np.sqrt(grid.x**2 + (grid.y - 17) ** 2 + (grid.z - 10) ** 2) + 1)
    return np.asarray(grid.spacing[2] + 0.85 * grid.spacing[0] * upright**2, np.float32)


def draw_shell(head: Head) -> None:
    """Draw skin, fat, muscle and the skull."""
    grid, build = head.grid, head.build
    edge = edge_mm(grid)
    rng = stream(head.seed, "shell")
    everywhere = (slice(None),) * 3
    lumps = grid.noise(rng, 7.0)
    flesh = FAT + (MUSCLE - FAT) * ramp(lumps + 0.25, 1.4) * ramp(-18 - grid.z, 6.0)
    head.put(everywhere, ramp(head.outline, 1.5), SKIN)
    head.put(everywhere, ramp(head.outline - 2.2, 1.5), flesh)
    near_bone = ramp(head.depth + build.skull_mm + 1.8, 1.5)
    head.put(everywhere, near_bone * ramp(head.outline - 2.2, 1.5), 25.0)
    for side in (-1, 1):
        box, muscle = grid.ellipsoid((side * (build.width + 2), -24, -16), (9, 27, 30))
        head.put(box, ramp(muscle, 2) * ramp(head.outline[box] - 3, 1.5), MUSCLE)
    thick = build.skull_mm * (1 + 0.16 * grid.noise(rng, 40.0)) * (1 - 0.45 * ramp(-14 - grid.z, 10.0))
    bone = ramp(head.depth + thick, edge) * ramp(head.outline - 1, 1.5)
    layer = 1 + head.depth / thick
    value = COMPACT - (COMPACT - DIPLOE) * ramp(0.30 - np.abs(layer - 0.5), 0.2)
    value = np.where(grid.z < -15, value - 350, value) + 90 * lumps
    head.put(everywhere, bone, value.astype(np.float32))
    head.put(everywhere, head.inside, CSF_HU)


def draw_face(head: Head) -> None:
    """Draw orbits, air cells, petrous bones and jaws: the busy part below the brain."""
    rng = stream(head.seed, "face")
    put = head.put_ellipsoid
    put((0, 9, -48), (11, 7, 17), SPONGY)
    for side in (-1, 1):
        put((52 * side, -44, -54), (7, 9, 9), COMPACT - 300)
        put((64 * side, -22, -54), (2.5, 24, 4), COMPACT - 300, turn=-0.1 * side)
        put((50 * side, 3, -74), (4, 9, 22), COMPACT - 300)
        put((34 * side, 24, -42), (28, 7, 9), COMPACT + 250, turn=0.45 * side)
        honeycomb(head, rng, (54 * side, 36, -48), (10, 14, 17), 0.55)
        honeycomb(head, rng, (40 * side, 27, -42), (12, 5, 6), 0.15, turn=0.45 * side)
        put((62 * side, 17, -48), (12, 3.5, 3.5), AIR, turn=0.1 * side)
        draw_orbit(head, side)
        put((31 * side, -42, -70), (19, 20, 18), 500.0)
        put((31 * side, -42, -70), (17, 18, 16), float(rng.choice([AIR, AIR, AIR, 25])))
        if rng.random() < 0.8:
            put((9 * side, -70 + rng.uniform(-1, 2), -14), (rng.uniform(6, 13), 3.5, 9), AIR)
    honeycomb(head, rng, (0, -44, -38), (13, 27, 14), 0.65)
    honeycomb(head, rng, (0, -46, -66), (14, 30, 19), 0.35, wall=45.0)
    put((0, -10, -38), (15, 12, 10), 700.0)
    put((-5, -10, -38), (7.5, 10.5, 8.5), AIR)
    put((6, -10, -38), (6, 10, 8), AIR)
    put((0, 2, -76), (11, 9, 18), AIR)


def honeycomb(
    head: Head,
    rng: np.random.Generator,
    centre: Point,
    radii: Point,
    airy: float,
    *,
    wall: float = 600.0,
    turn: float = 0.0,
) -> None:
    """Draw air cells parted by walls of bone or mucosa."""
    box, depth = head.grid.ellipsoid(centre, radii, turn=turn)
    cells = head.grid.noise(rng, 4.5, box)
    inside = ramp(depth, 1.5)
    head.put(box, inside, wall)
    head.put(box, inside * ramp(cells + airy, 0.4), AIR)


def draw_orbit(head: Head, side: int) -> None:
    """Draw one orbit: thin bony wall, fat, globe, lens, optic nerve, two muscles."""
    put = head.put_ellipsoid
    put((31 * side, -46, -35), (21, 27, 19), 550.0)
    put((31 * side, -50, -35), (19, 27, 17), FAT)
    put((22 * side, -36, -34), (2.5, 20, 2.5), 35.0, turn=-0.45 * side)
    put((19 * side, -46, -35), (2, 16, 4), 48.0, turn=-0.15 * side)
    put((43 * side, -44, -35), (2, 17, 4), 48.0, turn=-0.6 * side)
    put((32 * side, -61, -35), (13, 13, 13), 45.0)
    put((32 * side, -61, -35), (11.5, 11.5, 11.5), 12.0)
    put((32 * side, -70, -35), (4.5, 2, 4.5), 75.0)


def make_head(
    seed: int,
    grid: Grid,
    brain: Grid,
    build: Build,
    effaced: Array | float,
    spaces: tuple[Array, Array, Array],
) -> Head:
    """Draw skull and face round the spaces that `cavity` gives, and set the stage for the brain."""
    depth, below, vault = spaces
    zeros = np.zeros(grid.shape, np.float32)
    hu = np.full(grid.shape, AIR, np.float32)
    outline = skin(grid, build, vault)
    head = Head(
        seed,
        grid,
        brain,
        build,
        hu,
        depth,
        vault,
        outline,
        below,
        csf=zeros,
        inside=ramp(depth, edge_mm(grid)),
        grey=zeros.copy(),
        ventricles=zeros.copy(),
        tissue=zeros,
        effaced=effaced,
    )
    draw_shell(head)
    draw_face(head)
    return head
