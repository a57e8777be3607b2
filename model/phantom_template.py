"""The simulated head on the anatomy of a CT template: its brain and inner table, warped for every subject."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from model.phantom_anatomy import CSF_HU, Build, Head, fossa_depth
from model.phantom_brain import (
    draw_arteries,
    draw_calcifications,
    draw_cavum,
    draw_falx,
    draw_sinuses,
    draw_sulci,
    pale_white_matter,
)
from model.phantom_grid import Array, Grid, Point, ramp, stream

USUAL_MM = (68.0, 86.0, 67.0)
"""Half axes of the template's cavity; `Build` says those of the subject."""
MIDDLE: Point = (0.0, 17.0, 10.0)
"""Of the cavity, in head mm."""
VENTRICLES: Point = (0.0, 12.0, 12.0)
ELASTIC_MM = 2.2


@dataclass(frozen=True, slots=True)
class Template:
    """A head in template space; all fields (up, back, left), the anterior commissure at the origin."""

    hu: Array
    """Brain and fluid, continued beyond the inner table."""
    depth: Array
    """Millimetres below the inner table, negative outside."""
    vault: Array
    """The same as if the skull had no floor."""
    ventricles: Array
    """Membership 0..1."""
    first_mm: Point
    """Where the first voxel lies: left, back, up."""
    step_mm: float
    white: float
    grey: float
    """HU of white and grey matter."""

    def at(self, values: Array, places: tuple[Array, Array, Array]) -> Array:
        """Look a field up at (left, back, up) in mm; the edge goes on beyond the field."""
        x, y, z = places
        points = np.stack([z - self.first_mm[2], y - self.first_mm[1], x - self.first_mm[0]])
        points /= np.float32(self.step_mm)
        return np.asarray(ndimage.map_coordinates(values, points, order=1, mode="nearest"), np.float32)


@dataclass(frozen=True, slots=True)
class Subject:
    """A template as one subject's anatomy."""

    template: Template
    build: Build
    seed: int

    def places(self, grid: Grid) -> tuple[Array, Array, Array]:
        """Where in the template the points of a grid lie: size, shape and ventricles are the subject's."""
        rng = stream(self.seed, "template")
        build = self.build
        swell = float(np.clip(0.55 * (build.ventricle - 1.15) + rng.normal(0, 0.12), -0.35, 0.55))
        lean = float(rng.normal(0, 0.03))
        half = (build.width, build.length, build.height)
        out = []
        for value, middle, own, mean in zip((grid.x, grid.y, grid.z), MIDDLE, half, USUAL_MM, strict=True):
            wave = grid.noise(rng, 42.0)
            out.append(middle + (value - middle) * np.float32(mean / own) + np.float32(ELASTIC_MM) * wave)
        x, y, z = out
        x = x + np.float32(lean) * (y - MIDDLE[1])
        away = [value - middle for value, middle in zip((x, y, z), VENTRICLES, strict=True)]
        near = np.exp(-((away[0] / 26) ** 2 + (away[1] / 42) ** 2 + (away[2] / 24) ** 2) / 2)
        pull = 1 / (1 + np.float32(swell) * near)
        out = [away[0] * pull, away[1] * (0.5 + 0.5 * pull), away[2] * pull]
        x, y, z = (
            np.asarray(value + np.float32(middle), np.float32)
            for value, middle in zip(out, VENTRICLES, strict=True)
        )
        return x, y, z

    def spaces(self, grid: Grid) -> tuple[Array, Array, Array]:
        """Return depth below the inner table, depth inside the posterior fossa, depth of the vault alone."""
        places = self.places(grid)
        depth, vault = (
            self.template.at(field, places) for field in (self.template.depth, self.template.vault)
        )
        return depth, np.minimum(fossa_depth(grid, self.build), depth), vault


def draw_template_brain(head: Head, subject: Subject) -> None:
    """Draw everything inside the skull: the template's brain, and sulci, which its mean of many has lost."""
    template, build = subject.template, head.build
    rng = stream(head.seed, "tissue")
    places = subject.places(head.brain)
    tissue = template.at(template.hu, places)
    draw_sulci(head)
    gain = (build.grey - build.white) / (template.grey - template.white)
    head.grey = np.clip((tissue - template.white) / (template.grey - template.white), 0, 1)
    wet = np.clip((template.white - 2.0 - tissue) / (template.white - 2.0 - 9.0), 0, 1)
    head.ventricles = wet * np.clip(1.5 * template.at(template.ventricles, places), 0, 1)
    draw_cavum(head)
    np.maximum(wet, head.ventricles, out=wet)
    fossa = ramp(head.below - 1, 2.0)
    head.csf *= 1 - fossa
    np.maximum(head.csf, wet, out=head.csf)
    gap = ramp(build.gap_mm - head.depth, 1.0 + 0.2 * head.grid.spacing[0])
    np.maximum(head.csf, gap, out=head.csf)
    firm = np.maximum(tissue, template.white - 3) - np.float32(template.white)
    bright = template.grey - template.white + 3  # choroid plexus, dura and veins of many heads
    firm = np.minimum(firm, bright) + np.clip(firm - bright, 0, None) * np.float32(rng.uniform(0.1, 0.9))
    brain = np.float32(build.white) + firm * np.float32(gain)
    brain += 0.5 * head.grid.noise(rng, 9.0)
    if build.atrophy > 0.35:
        pale_white_matter(head, brain, float(rng.uniform(0, 7)) * build.atrophy)
    brain += head.csf * (np.float32(CSF_HU + rng.uniform(-3, 3)) - brain)
    head.tissue = np.asarray(brain, np.float32)
    head.put((slice(None),) * 3, head.inside, head.tissue)
    draw_arteries(head)
    draw_falx(head, ramp(head.depth, 1.0), stream(head.seed, "dura"))
    draw_sinuses(head, float(rng.uniform(44, 58)) + build.blood)
    draw_calcifications(head)
