"""When a read is complete: what is missing from it or contradicts itself, each by a name and in words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labeling.labels import (
    SCHEMA,
    Kind,
    Label,
    Presence,
    Roi,
    RoiKind,
    Side,
    Territory,
    findings_of,
)
from model.stroke import StrokeType

MAX_SHIFT_MM = 40.0
MAX_DIAMETER_CM = 20.0
NEEDS_EXTENT = frozenset(
    {
        StrokeType.IPH,
        StrokeType.IVH,
        StrokeType.SAH,
        StrokeType.SDH,
        StrokeType.EDH,
        StrokeType.ACUTE_ISCHAEMIA,
        StrokeType.HYPERDENSE_ARTERY,
    }
)
"""Findings whose first and last slice are asked for where they are present."""


class Fault(StrEnum):
    """What is wrong with a read."""

    SCHEMA_UNKNOWN = "schema_unknown"
    ISSUE_MISSING = "issue_missing"
    """Not diagnostic, and nothing says why."""
    HAEMORRHAGE_MISSING = "haemorrhage_missing"
    KIND_UNANSWERED = "kind_unanswered"
    ANY_WITHOUT_KIND = "any_without_kind"
    KIND_WITHOUT_ANY = "kind_without_any"
    ISCHAEMIA_MISSING = "ischaemia_missing"
    SIDE_MISSING = "side_missing"
    TERRITORY_MISSING = "territory_missing"
    INFARCT_WITHOUT_INFARCT = "infarct_without_infarct"
    """Side, territory or ASPECTS under 10 of an infarct that is absent."""
    VESSEL_MISSING = "vessel_missing"
    OLD_INFARCT_MISSING = "old_infarct_missing"
    ASPECTS_MISSING = "aspects_missing"
    ASPECTS_TWICE = "aspects_twice"
    ASPECTS_SIDE = "aspects_side"
    ASPECTS_TOTAL = "aspects_total"
    MASS_EFFECT_MISSING = "mass_effect_missing"
    SHIFT_OUTSIDE = "shift_outside"
    DIAMETER_OUTSIDE = "diameter_outside"
    TRIAGE_MISSING = "triage_missing"
    CONFIDENCE_OUTSIDE = "confidence_outside"
    SLICE_UNKNOWN = "slice_unknown"
    EXTENT_MISSING = "extent_missing"
    EXTENT_REVERSED = "extent_reversed"
    EXTENT_WITHOUT_FINDING = "extent_without_finding"
    ROI_POINTS = "roi_points"
    ROI_OUTSIDE = "roi_outside"
    ROI_MASK = "roi_mask"


@dataclass(frozen=True, slots=True)
class Gap:
    """One fault, with the part of the read and the values."""

    fault: Fault
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class Images:
    """The slices that a read speaks of, from inferior to superior."""

    sop_uids: Sequence[str]
    rows: int
    columns: int


class Incomplete(ValueError):
    """A read that cannot be submitted; `gaps` names everything."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        super().__init__("; ".join(map(str, gaps)))
        self.gaps = tuple(gaps)


def gaps_of(label: Label, images: Images) -> list[Gap]:
    """All faults of a read; none of a complete one.

    A study that is not diagnostic needs its reason only. Anything that is said is checked all the same.
    """
    rules = _ALWAYS if not label.quality.diagnostic else (*_ALWAYS, *_DIAGNOSTIC)
    return [gap for rule in rules for gap in rule(label, images)]


def check_complete(label: Label, images: Images) -> None:
    """Refuse a read that is not complete.

    Raises:
        Incomplete: with every gap.
    """
    if gaps := gaps_of(label, images):
        raise Incomplete(gaps)


def _form(label: Label, _: Images) -> Iterator[Gap]:
    if label.schema != SCHEMA:
        yield Gap(Fault.SCHEMA_UNKNOWN, "schema", f"{label.schema!r} is not {SCHEMA!r}")
    if not label.quality.diagnostic and not label.quality.issues:
        yield Gap(Fault.ISSUE_MISSING, "quality", "not diagnostic, and no issue says why")
    if label.confidence is not None and not 1 <= label.confidence <= 5:
        yield Gap(Fault.CONFIDENCE_OUTSIDE, "confidence", f"{label.confidence} is not 1 to 5")


def _asked(label: Label, _: Images) -> Iterator[Gap]:
    if label.mass_effect is None:
        yield Gap(Fault.MASS_EFFECT_MISSING, "mass_effect", "not answered")
    if label.triage is None:
        yield Gap(Fault.TRIAGE_MISSING, "triage", "not answered")
    if label.confidence is None:
        yield Gap(Fault.CONFIDENCE_OUTSIDE, "confidence", "not answered")


def _measures(label: Label, _: Images) -> Iterator[Gap]:
    if label.mass_effect and not 0 <= label.mass_effect.midline_shift_mm <= MAX_SHIFT_MM:
        shift = label.mass_effect.midline_shift_mm
        yield Gap(Fault.SHIFT_OUTSIDE, "mass_effect", f"a shift of {shift} mm is not 0 to {MAX_SHIFT_MM}")
    if label.haemorrhage and (abc2 := label.haemorrhage.abc2):
        for name, value in (
            ("a_cm", abc2.a_cm),
            ("b_cm", abc2.b_cm),
            ("c", abc2.slices * abc2.thick_mm / 10),
        ):
            if not 0 < value <= MAX_DIAMETER_CM:
                text = f"{name} of {value} cm is not above 0 and up to {MAX_DIAMETER_CM}"
                yield Gap(Fault.DIAMETER_OUTSIDE, "haemorrhage.abc2", text)


def _haemorrhage(label: Label, _: Images) -> Iterator[Gap]:
    blood, where = label.haemorrhage, "haemorrhage"
    if blood is None:
        yield Gap(Fault.HAEMORRHAGE_MISSING, where, "not answered")
        return
    seen = [kind.value for kind in Kind if blood.kinds.get(kind) is Presence.PRESENT]
    open_kinds = [kind.value for kind in Kind if kind not in blood.kinds]
    if blood.any is Presence.PRESENT and not seen:
        yield Gap(Fault.ANY_WITHOUT_KIND, where, "present, but no kind is")
    if blood.any is not Presence.PRESENT and seen:
        yield Gap(Fault.KIND_WITHOUT_ANY, where, f"{blood.any.value}, but {', '.join(seen)} is present")
    if blood.any is not Presence.ABSENT and open_kinds:
        yield Gap(Fault.KIND_UNANSWERED, where, f"not answered: {', '.join(open_kinds)}")


def _ischaemia(label: Label, _: Images) -> Iterator[Gap]:
    infarct, where = label.ischaemia, "ischaemia"
    if infarct is None:
        yield Gap(Fault.ISCHAEMIA_MISSING, where, "not answered")
        return
    if infarct.hyperdense_vessel is None:
        yield Gap(Fault.VESSEL_MISSING, where, "hyperdense vessel not answered")
    if infarct.old_infarct is None:
        yield Gap(Fault.OLD_INFARCT_MISSING, where, "old infarct not answered")
    if infarct.acute is Presence.PRESENT:
        if infarct.side is None:
            yield Gap(Fault.SIDE_MISSING, where, "an acute infarct has a side")
        if not infarct.territory:
            yield Gap(Fault.TERRITORY_MISSING, where, "an acute infarct has a territory")
        if Territory.MCA in infarct.territory and not infarct.aspects:
            yield Gap(Fault.ASPECTS_MISSING, where, "an infarct of the MCA has an ASPECTS")
    elif infarct.acute is Presence.ABSENT and (
        infarct.side or infarct.territory or any(each.affected for each in infarct.aspects)
    ):
        yield Gap(
            Fault.INFARCT_WITHOUT_INFARCT, where, "side, territory or ASPECTS of an infarct that is absent"
        )


def _aspects(label: Label, _: Images) -> Iterator[Gap]:
    scored = label.ischaemia.aspects if label.ischaemia else ()
    where = "ischaemia.aspects"
    sides = [each.side for each in scored]
    if len(set(sides)) < len(sides):
        yield Gap(Fault.ASPECTS_TWICE, where, "a side is scored twice")
    for each in scored:
        if each.side is Side.BOTH:
            yield Gap(Fault.ASPECTS_SIDE, where, "each side has an ASPECTS of its own")
        if each.total is not None and each.total != each.score:
            text = f"total {each.total}, but {10 - each.score} regions leave {each.score}"
            yield Gap(Fault.ASPECTS_TOTAL, where, text)


def _extents(label: Label, images: Images) -> Iterator[Gap]:
    place = {uid: index for index, uid in enumerate(images.sop_uids)}
    said = findings_of(label)
    for uid in label.key_slices:
        if uid not in place:
            yield _unknown("key_slices", uid)
    for extent in label.extents:
        where = f"extents.{extent.finding.value}"
        strange = [uid for uid in (extent.first, extent.last) if uid not in place]
        yield from (_unknown(where, uid) for uid in strange)
        if not strange and place[extent.first] > place[extent.last]:
            text = f"slice {place[extent.first] + 1} to {place[extent.last] + 1} runs downwards"
            yield Gap(Fault.EXTENT_REVERSED, where, text)
        if said.get(extent.finding) is Presence.ABSENT:
            yield Gap(Fault.EXTENT_WITHOUT_FINDING, where, "the finding is absent")


def _extents_given(label: Label, _: Images) -> Iterator[Gap]:
    given = {extent.finding for extent in label.extents}
    for finding, presence in findings_of(label).items():
        if presence is Presence.PRESENT and finding in NEEDS_EXTENT - given:
            yield Gap(Fault.EXTENT_MISSING, f"extents.{finding.value}", "first and last slice are not given")


def _rois(label: Label, images: Images) -> Iterator[Gap]:
    for number, roi in enumerate(label.rois, start=1):
        where = f"rois.{number}"
        if roi.sop_uid not in images.sop_uids:
            yield _unknown(where, roi.sop_uid)
        if roi.kind is RoiKind.MASK:
            if len(roi.mask) != 64 or roi.points:
                yield Gap(Fault.ROI_MASK, where, "a mask is named by its SHA-256 and has no points")
            continue
        yield from _points(roi, where, images)


def _points(roi: Roi, where: str, images: Images) -> Iterator[Gap]:
    box = roi.kind is RoiKind.BOX
    if len(roi.points) != 2 if box else len(roi.points) < 3:
        yield Gap(
            Fault.ROI_POINTS, where, f"{len(roi.points)} points; {'a box has 2' if box else 'at least 3'}"
        )
    for x, y in roi.points:
        if not (0 <= x <= images.columns and 0 <= y <= images.rows):
            text = f"({x:g}, {y:g}) is not in an image of {images.columns} x {images.rows}"
            yield Gap(Fault.ROI_OUTSIDE, where, text)


def _unknown(where: str, uid: str) -> Gap:
    return Gap(Fault.SLICE_UNKNOWN, where, f"slice {uid!r} is not of this study")


_Rule = Callable[[Label, Images], Iterator[Gap]]
_ALWAYS: tuple[_Rule, ...] = (_form, _measures, _aspects, _extents, _rois)
_DIAGNOSTIC: tuple[_Rule, ...] = (_haemorrhage, _ischaemia, _asked, _extents_given)
