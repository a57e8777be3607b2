"""Choose the series of a study that a stroke reader would read: plain, axial, soft-tissue, the whole head."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.geometry import plane_normal, sort_stack
from model.headers import SliceHeader, read_headers
from model.stroke import Refusal

__all__ = ["SeriesChoice", "SliceHeader", "Stacked", "choose_series", "rank_series", "read_headers"]

FEWEST_IMAGES = 10
AXIAL_COSINE = 0.8
"""|normal . z| below this is not axial; cos 35 degrees = 0.82, so the largest gantry tilt passes."""
HEAD_COVER_MM = 130.0
"""Covering more than this earns nothing more: a head is about this high above its base."""
THICKNESS_MM = (3.0, 6.0)
SPLIT_FRACTION = 0.5
"""When so large a part of a series lies at positions taken twice, it is two stacks."""

_WITHOUT = re.compile(
    r"NON[\s_-]*CONTRAST\w*|NON[\s_-]*ENHANCED|UNENHANCED|NON[\s_-]*IONIC|NECT|NCCT|NCHCT|PLAIN|NATIVE|"
    r"PRE[\s_-]*(?:CONTRAST|CM|GAD|INJ\w*)|WITHOUT(?:[\s_-]+(?:IV|I\.V\.))?(?:[\s_-]*CONTRAST)?|"
    r"(?<!\w)(?:W\s*/\s*O|WO|NO|SANS|OHNE|SIN|SEM|-)[\s_]*(?:IV[\s_]*)?(?:CONTRAST\w*|C\+?|CM|KM)?(?!\w)|"
    r"(?<!\w)C-(?!\w)"
)
_WITH = re.compile(
    r"CONTRAST|(?<!\w)(?:CECT|CTA|CTV|CTP|ANGIO\w*|PERF\w*|VENOGRAM|ARTERIAL|VENOUS|PORTAL|DELAYED|ENHANCED|"
    r"POST[\s_-]*(?:C|CM|GAD|INJ\w*)|BOLUS|OMNIPAQUE|IOHEXOL|ULTRAVIST|IOPAMIRO\w*|VISIPAQUE|XENETIX|"
    r"IV\+?|\+\s*C|C\+|W\s*/\s*C|CE)(?!\w)|\d+(?:\.\d+)?\s*(?:CC|ML)\s*(?:/|P(?:ER)?\s)?\s*S(?:EC)?(?!\w)"
)
_NO_AGENT = re.compile(r"^(?:NO(?:NE|NO|T\s.*)?|N/?A|0+|-+|NIL|WITHOUT.*|W/?O.*|PLAIN|NON.*|NO\s.*)$")
_BONE = re.compile(r"(?<!\w)(?:BONE\w*|OSTEO|OSSEUS|KNOCHEN|HUESO|PETROUS|INNER\s*EAR|IAC|EDGE|SHARP)(?!\w)")
_BONE_KERNEL = re.compile(
    r"^(?:BONE\w*|\w*SHARP\w*|EDGE\+?|DETAIL|LUNG|CHST|YB|YC|YD|D|YA|F[67]\d|FC8\d|FC3\d|FC5\d|E\d?|"
    r"[BHUJ]R?[67]\d\w*|HR[67]\d\w*|QR[67]\d\w*)$"
)
_SOFT_KERNEL = re.compile(
    r"^(?:STAN\w*|STD\+?|\w*SOFT\w*|F[1-4]\d|BRAIN\w*|UB|UA|UC|B|A|C|EB|EC|FC2\d|FC6\d|FC0?\d|FC1\d|[BHJU]R?[234]\d\w*|SMOOTH)$"
)
_SCREEN_TYPES = frozenset(
    {"SCREEN SAVE", "SCREENSHOT", "CAPTURE", "DOSE", "DOSE_INFO", "PROT", "CSA REPORT", "3D"}
)
_LOCALIZERS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SCANOGRAM", "SURVIEW"})
_LOCALIZER_WORDS = re.compile(r"(?<!\w)(?:SCOUT|TOPO\w*|SURVIEW|SCANO\w*|LOCALI[SZ]ER)(?!\w)")
_HEAD_WORDS = re.compile(r"HEAD|BRAIN|SKULL|NEURO|CRANI|CEREBR|STROKE|HIRN|KOPF|KEPALA|สมอง|ศีรษะ")
_OTHER_PARTS = re.compile(
    r"CHEST|THORA|LUNG|ABDO|PELVI|SPINE|LIVER|KNEE|HIP|SHOULDER|WHOLE\s*BODY|C-SP|L-SP|T-SP"
)
_REPORT_WORDS = re.compile(
    r"(?<!\w)(?:DOSE\s*(?:REPORT|INFO\w*|RECORD|SUMMARY)|PATIENT\s*PROTOCOL|SCREEN\s*SAVE)(?!\w)"
)


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """The series to read, or none, and why."""

    chosen: str | None
    """SeriesInstanceUID; of a series split into stacks, followed by # and the number of the stack."""
    runner_up: str | None
    reason: str
    rejected: dict[str, str]
    headers: tuple[SliceHeader, ...] = ()
    """The slices of the chosen stack."""
    refusals: tuple[Refusal, ...] = ()
    """Why there is none; or what is wrong with the only one there is (CONTRAST)."""


@dataclass(frozen=True, slots=True)
class Stacked:
    """One stack of slices of one orientation and size."""

    uid: str
    headers: tuple[SliceHeader, ...]

    @property
    def description(self) -> str:
        return self.headers[-1].description.upper()


def choose_series(headers: Sequence[SliceHeader]) -> SeriesChoice:
    """Pick the stack to read among all slices of a study; see `rank_series` for the order."""
    choices = rank_series(headers)
    return choices[0]


def rank_series(headers: Sequence[SliceHeader]) -> list[SeriesChoice]:
    """Every readable stack as a choice, best first; one choice of nothing when none can be read.

    A stack given with contrast is a choice only where no plain one exists, and then carries the refusal.
    """
    stacks = split_stacks(headers)
    faults = {stack.uid: _faults(stack) for stack in stacks}
    rejected = {uid: text for uid, (_, text) in faults.items() if text}
    plain = [stack for stack in stacks if stack.uid not in rejected]
    if plain:
        return _ranked(plain, rejected, ())
    enhanced = [stack for stack in stacks if faults[stack.uid][0] == Refusal.CONTRAST]
    if enhanced:
        return _ranked(enhanced, rejected, (Refusal.CONTRAST,))
    refusals = _main_refusals([refusal for refusal, _ in faults.values()])
    return [SeriesChoice(None, None, "No series can be read.", rejected, (), refusals)]


def _main_refusals(found: Sequence[Refusal | None]) -> tuple[Refusal, ...]:
    """Of a study without a readable series: what is wrong with its CT images, else that it has none."""
    minor = (Refusal.NOT_CT, Refusal.NO_IMAGES)
    said = tuple(dict.fromkeys(refusal for refusal in found if refusal is not None and refusal not in minor))
    return said or ((Refusal.NOT_CT,) if Refusal.NOT_CT in found else (Refusal.NO_IMAGES,))


def _ranked(
    stacks: Sequence[Stacked], rejected: dict[str, str], refusals: tuple[Refusal, ...]
) -> list[SeriesChoice]:
    merits = {stack.uid: _merits(stack) for stack in stacks}
    order = sorted(stacks, key=lambda stack: [worth for worth, _ in merits[stack.uid]], reverse=True)
    reasons = {stack.uid: _reason(stack, order[:2], merits) for stack in order}
    return [
        SeriesChoice(
            chosen=stack.uid,
            runner_up=next((other.uid for other in order if other is not stack), None),
            reason=reasons[stack.uid],
            rejected=rejected,
            headers=stack.headers,
            refusals=refusals,
        )
        for stack in order
    ]


def _reason(stack: Stacked, best: Sequence[Stacked], merits: dict[str, list[tuple[float, str]]]) -> str:
    if len(best) == 1:
        return "The only series that can be read."
    other = best[1] if stack is best[0] else best[0]
    for mine, theirs in zip(merits[stack.uid], merits[other.uid], strict=True):
        if mine[0] != theirs[0]:
            return f"{mine[1]} against {theirs[1]} of {other.uid}."
    return f"As good as {other.uid}."


def split_stacks(headers: Sequence[SliceHeader]) -> list[Stacked]:
    """Group slices by series, then by orientation, size, kernel, and pass over the same positions."""
    by_series: dict[str, dict[object, list[SliceHeader]]] = defaultdict(lambda: defaultdict(list))
    for header in headers:
        by_series[header.series_instance_uid][_stack_key(header)].append(header)
    stacks: list[Stacked] = []
    for uid, groups in by_series.items():
        parts = [part for group in groups.values() for part in _split_passes(group)]
        for number, part in enumerate(sorted(parts, key=len, reverse=True), start=1):
            stacks.append(Stacked(uid if number == 1 else f"{uid}#{number}", tuple(part)))
    return stacks


def _stack_key(header: SliceHeader) -> object:
    shape = (header.pixels.rows, header.pixels.columns) if header.pixels else None
    normal = tuple(np.round(plane_normal(header.orientation), 1).tolist()) if header.orientation else None
    spacing = tuple(round(value, 3) for value in header.pixel_spacing) if header.pixel_spacing else None
    localizer = bool(_LOCALIZERS & set(header.image_type))
    return shape, normal, spacing, localizer, header.kernel, header.contrast_agent, header.modality


def _split_passes(group: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Two passes over the same positions, told apart by AcquisitionNumber, are two stacks."""
    whole = list({(header.sop_instance_uid, header.frame): header for header in group}.values())
    if any(header.position is None or header.orientation is None for header in whole):
        return [whole]
    by_acquisition: dict[str, list[SliceHeader]] = defaultdict(list)
    for header in whole:
        by_acquisition[header.acquisition_number].append(header)
    twice = sort_stack(whole).duplicates > SPLIT_FRACTION / 2 * len(whole)
    if not twice or min(map(len, by_acquisition.values())) < FEWEST_IMAGES:
        return [whole]
    return list(by_acquisition.values())


def _faults(stack: Stacked) -> tuple[Refusal | None, str]:
    """Why a stack is not read: the refusal it stands for if it is all there is, and the sentence."""
    header = stack.headers[0]
    kind = set(header.image_type)
    if header.modality != "CT":
        return Refusal.NOT_CT, f"Modality is {header.modality or 'absent'}, not CT."
    if header.pixels is None:
        return Refusal.NO_IMAGES, "Holds no images."
    if _LOCALIZERS & kind or _LOCALIZER_WORDS.search(stack.description):
        return Refusal.NO_IMAGES, "A localizer (topogram)."
    if header.pixels.samples != 1 or _SCREEN_TYPES & kind or _REPORT_WORDS.search(stack.description):
        return Refusal.NO_IMAGES, "A screenshot or dose report."
    if {"DERIVED", "SECONDARY"} <= kind and not {"AXIAL", "MPR", "REFORMATTED"} & kind:
        return Refusal.NO_IMAGES, "Derived secondary images."
    if any(
        item.position is None or item.orientation is None or item.pixel_spacing is None
        for item in stack.headers
    ):
        return (
            Refusal.NO_GEOMETRY,
            "Slices lack ImagePositionPatient, ImageOrientationPatient or PixelSpacing.",
        )
    upright = abs(float(plane_normal(header.orientation or ())[2]))
    if upright < AXIAL_COSINE:
        return Refusal.NOT_AXIAL, f"Not axial: |normal . z| = {upright:.2f}, limit {AXIAL_COSINE}."
    positions = len(stack.headers) - sort_stack(stack.headers).duplicates
    if positions < FEWEST_IMAGES:
        return Refusal.TOO_FEW_SLICES, f"{positions} slices, at least {FEWEST_IMAGES} are needed."
    words = contrast_words(stack)
    return (Refusal.CONTRAST, f"Contrast: {words}.") if words else (None, "")


def contrast_words(stack: Stacked) -> str:
    """The words that say contrast was given; empty when none do."""
    header = stack.headers[0]
    agent = header.contrast_agent.upper().strip()
    if agent and not _NO_AGENT.match(agent):
        return f"ContrastBolusAgent is {header.contrast_agent!r}"
    rest = _WITHOUT.sub(" ", stack.description)
    found = _WITH.search(rest)
    return f"the description says {found.group().strip()!r}" if found else ""


def is_bone_kernel(header: SliceHeader) -> bool:
    """Whether the kernel, or failing a known one the description, says sharp reconstruction."""
    kernel = header.kernel.upper().split()
    if kernel and (_BONE_KERNEL.match(kernel[0]) or _SOFT_KERNEL.match(kernel[0])):
        return bool(_BONE_KERNEL.match(kernel[0]))
    return bool(_BONE.search(header.description.upper()))


def _merits(stack: Stacked) -> list[tuple[float, str]]:
    """What speaks for a stack, most weighty first, each with its words."""
    header = stack.headers[0]
    ordered = sort_stack(stack.headers)
    cover = min(ordered.extent_mm, HEAD_COVER_MM) // 10 * 10
    step = ordered.spacing_mm
    original = {"ORIGINAL", "PRIMARY"} <= set(header.image_type)
    usual = THICKNESS_MM[0] <= step <= THICKNESS_MM[1]
    return [
        (
            float(_part(stack)),
            ("another part by name", "a part not named", "a head by name")[_part(stack) + 1],
        ),
        (float(not is_bone_kernel(header)), "bone kernel" if is_bone_kernel(header) else "soft kernel"),
        (cover, f"{ordered.extent_mm:.0f} mm covered"),
        (float(original), "original images" if original else "derived images"),
        (float(usual), f"slices every {step:.2f} mm"),
        (_instant(header), f"acquired {header.acquired or 'at an unknown time'}"),
    ]


def _part(stack: Stacked) -> int:
    """1 where the words say head, -1 where they say only something else."""
    words = f"{stack.headers[0].body_part} {stack.description}"
    return 1 if _HEAD_WORDS.search(words) else -1 if _OTHER_PARTS.search(words) else 0


def _instant(header: SliceHeader) -> float:
    try:
        return float(header.acquired)
    except ValueError:
        return 0.0
