"""What one reader says of one case: the schema r8-ncct-1.0, one value a read.

Reads are made blind to the AI, to other readers and to the discharge code. An edit is a new read that names
the one it supersedes. `completeness` says what is missing or contradicts itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from model.stroke import StrokeType

SCHEMA = "r8-ncct-1.0"
STRICT = {"extra": "forbid"}
"""A mistyped field is refused, not dropped, by whoever parses a read."""


class Presence(StrEnum):
    """What is seen of a finding; a reader may be unsure, and is then counted as such."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"


class Kind(StrEnum):
    """Where blood lies."""

    EPIDURAL = "epidural"
    SUBDURAL = "subdural"
    SUBARACHNOID = "subarachnoid"
    INTRAPARENCHYMAL = "intraparenchymal"
    INTRAVENTRICULAR = "intraventricular"


class Age(StrEnum):
    """How old blood looks."""

    ACUTE = "acute"
    SUBACUTE = "subacute"
    CHRONIC = "chronic"
    MIXED = "mixed"


class Side(StrEnum):
    """Of the patient."""

    LEFT = "L"
    RIGHT = "R"
    BOTH = "bilat"


class Territory(StrEnum):
    """Of an infarct."""

    MCA = "MCA"
    ACA = "ACA"
    PCA = "PCA"
    VB = "VB"
    LACUNAR = "lacunar"


class Region(StrEnum):
    """The ten of ASPECTS: seven at the level of the ganglia, three above it."""

    C = "C"
    L = "L"
    IC = "IC"
    I = "I"  # noqa: E741  its name in every text
    M1 = "M1"
    M2 = "M2"
    M3 = "M3"
    M4 = "M4"
    M5 = "M5"
    M6 = "M6"


class Vessel(StrEnum):
    """A hyperdense artery."""

    NONE = "none"
    ICA = "ICA"
    MCA_M1 = "MCA_M1"
    MCA_M2 = "MCA_M2"
    BASILAR = "basilar"


class Issue(StrEnum):
    """What spoils a study."""

    MOTION = "motion"
    METAL = "metal"
    INCOMPLETE = "incomplete"
    CONTRAST = "contrast"
    POST_OP = "post_op"
    NOISE = "noise"


class Triage(StrEnum):
    """How soon somebody should act."""

    CRITICAL = "critical"
    URGENT = "urgent"
    ROUTINE = "routine"
    NORMAL = "normal"


class RoiKind(StrEnum):
    """How a region is drawn."""

    BOX = "bbox"
    POLYGON = "poly"
    MASK = "seg"


@dataclass(frozen=True, slots=True)
class Quality:
    """Whether the study can be read at all."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    diagnostic: bool
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """ABC/2 of a haematoma: three diameters in cm, the third from slices."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    a_cm: float
    b_cm: float
    slices: float
    """Weighted: 1, 0.5 where 25 to 75 % of the largest area, 0 below."""
    thick_mm: float

    @property
    def volume_ml(self) -> float:
        """A times B times C by 2."""
        return self.a_cm * self.b_cm * self.slices * self.thick_mm / 10 / 2


@dataclass(frozen=True, slots=True)
class Haemorrhage:
    """Blood; `kinds` holds an answer to all five where there is any."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    any: Presence
    kinds: Mapping[Kind, Presence] = field(default_factory=dict)
    age: Age | None = None
    sites: tuple[str, ...] = ()
    abc2: Ellipsoid | None = None
    volume_ml: float | None = None


@dataclass(frozen=True, slots=True)
class Aspects:
    """Early ischaemic change by region on one side."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    side: Side
    affected: tuple[Region, ...] = ()
    total: int | None = None
    """Where a form sends it: must be 10 less one for every region."""

    @property
    def score(self) -> int:
        """10 where nothing is affected, 0 where all is."""
        return len(Region) - len(set(self.affected))


@dataclass(frozen=True, slots=True)
class Ischaemia:
    """Infarct and vessels."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    acute: Presence
    side: Side | None = None
    territory: tuple[Territory, ...] = ()
    aspects: tuple[Aspects, ...] = ()
    """One a side, where the middle cerebral artery is concerned."""
    hyperdense_vessel: Vessel | None = None
    old_infarct: bool | None = None


@dataclass(frozen=True, slots=True)
class MassEffect:
    """What blood or swelling pushes aside."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    midline_shift_mm: float = 0.0
    hydrocephalus: bool = False
    herniation: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is pushed aside."""
        return self.midline_shift_mm > 0 or self.hydrocephalus or self.herniation


@dataclass(frozen=True, slots=True)
class Extent:
    """First and last slice that show a finding, by SOP instance UID of the de-identified study."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    finding: StrokeType
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Roi:
    """A region in one slice, in pixels (column, row); a mask by its SHA-256 in the hub's storage."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    kind: RoiKind
    finding: StrokeType
    sop_uid: str
    points: tuple[tuple[float, float], ...] = ()
    mask: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """One read."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    quality: Quality
    haemorrhage: Haemorrhage | None = None
    ischaemia: Ischaemia | None = None
    mass_effect: MassEffect | None = None
    other: tuple[str, ...] = ()
    triage: Triage | None = None
    confidence: int | None = None
    """1 guess to 5 certain."""
    key_slices: tuple[str, ...] = ()
    extents: tuple[Extent, ...] = ()
    rois: tuple[Roi, ...] = ()
    comment: str = ""
    schema: str = SCHEMA


KINDS: Mapping[Kind, StrokeType] = {
    Kind.EPIDURAL: StrokeType.EDH,
    Kind.SUBDURAL: StrokeType.SDH,
    Kind.SUBARACHNOID: StrokeType.SAH,
    Kind.INTRAPARENCHYMAL: StrokeType.IPH,
    Kind.INTRAVENTRICULAR: StrokeType.IVH,
}


def findings_of(label: Label) -> dict[StrokeType, Presence]:
    """What a read says of every stroke type that it speaks of; nothing of a study that cannot be read."""
    if not label.quality.diagnostic:
        return {}
    said: dict[StrokeType, Presence] = {}
    if blood := label.haemorrhage:
        said[StrokeType.ANY_ICH] = blood.any
        for kind, stroke_type in KINDS.items():
            if blood.any is Presence.ABSENT:
                said[stroke_type] = Presence.ABSENT
            elif kind in blood.kinds:
                said[stroke_type] = blood.kinds[kind]
    if infarct := label.ischaemia:
        said[StrokeType.ACUTE_ISCHAEMIA] = infarct.acute
        if infarct.hyperdense_vessel is not None:
            said[StrokeType.HYPERDENSE_ARTERY] = _presence(infarct.hyperdense_vessel is not Vessel.NONE)
        if infarct.old_infarct is not None:
            said[StrokeType.OLD_INFARCT] = _presence(infarct.old_infarct)
    if label.mass_effect is not None:
        said[StrokeType.MASS_EFFECT] = _presence(label.mass_effect.any)
    return {kind: said[kind] for kind in StrokeType if kind in said}


def aspects_of(label: Label) -> int | None:
    """The lower ASPECTS of the two sides; None where none was scored."""
    scores = [each.score for each in label.ischaemia.aspects] if label.ischaemia else []
    return min(scores, default=None)


def _presence(holds: bool) -> Presence:
    return Presence.PRESENT if holds else Presence.ABSENT
