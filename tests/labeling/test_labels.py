"""A read: when it is complete, what is wrong with one that is not, and which stroke types it speaks of."""

from dataclasses import replace
from typing import Any

import pytest

from labeling.completeness import Fault, Incomplete, check_complete, gaps_of
from labeling.labels import (
    Aspects,
    Ellipsoid,
    Extent,
    Haemorrhage,
    Ischaemia,
    Issue,
    Kind,
    Label,
    MassEffect,
    Presence,
    Quality,
    Region,
    Roi,
    RoiKind,
    Side,
    Vessel,
    aspects_of,
    findings_of,
)
from model.stroke import StrokeType
from tests.labeling.reads import IMAGES, NONE, bleed, infarct, normal

BOX = Roi(RoiKind.BOX, StrokeType.IPH, "1.2.4", ((10, 10), (20, 20)))


def faults(label: Label) -> set[Fault]:
    return {gap.fault for gap in gaps_of(label, IMAGES)}


def with_infarct(**changes: Any) -> Label:
    label = infarct()
    assert label.ischaemia is not None
    return replace(label, ischaemia=replace(label.ischaemia, **changes))


class TestComplete:
    @pytest.mark.parametrize("label", [normal(), bleed(), infarct(), replace(bleed(), rois=(BOX,))])
    def test_a_whole_read_has_no_gap(self, label: Label) -> None:
        check_complete(label, IMAGES)

    def test_a_study_that_cannot_be_read_needs_its_reason_only(self) -> None:
        assert faults(Label(Quality(diagnostic=False))) == {Fault.ISSUE_MISSING}
        check_complete(Label(Quality(diagnostic=False, issues=(Issue.MOTION,))), IMAGES)

    def test_an_empty_read_lacks_everything(self) -> None:
        with pytest.raises(Incomplete, match="haemorrhage: not answered; ischaemia: not answered") as caught:
            check_complete(Label(Quality(diagnostic=True)), IMAGES)
        assert {gap.fault for gap in caught.value.gaps} == {
            Fault.HAEMORRHAGE_MISSING,
            Fault.ISCHAEMIA_MISSING,
            Fault.MASS_EFFECT_MISSING,
            Fault.TRIAGE_MISSING,
            Fault.CONFIDENCE_OUTSIDE,
        }

    @pytest.mark.parametrize(
        ("label", "fault"),
        [
            (replace(normal(), schema="r9"), Fault.SCHEMA_UNKNOWN),
            (replace(normal(), confidence=6), Fault.CONFIDENCE_OUTSIDE),
            (replace(bleed(), haemorrhage=Haemorrhage(Presence.PRESENT, NONE)), Fault.ANY_WITHOUT_KIND),
            (
                replace(
                    normal(), haemorrhage=Haemorrhage(Presence.ABSENT, {Kind.SUBDURAL: Presence.PRESENT})
                ),
                Fault.KIND_WITHOUT_ANY,
            ),
            (
                replace(
                    bleed(), haemorrhage=Haemorrhage(Presence.PRESENT, {Kind.SUBDURAL: Presence.PRESENT})
                ),
                Fault.KIND_UNANSWERED,
            ),
            (with_infarct(side=None), Fault.SIDE_MISSING),
            (with_infarct(territory=()), Fault.TERRITORY_MISSING),
            (with_infarct(aspects=()), Fault.ASPECTS_MISSING),
            (with_infarct(aspects=(Aspects(Side.LEFT, (Region.I,), total=8),)), Fault.ASPECTS_TOTAL),
            (with_infarct(aspects=(Aspects(Side.LEFT), Aspects(Side.LEFT))), Fault.ASPECTS_TWICE),
            (with_infarct(aspects=(Aspects(Side.BOTH),)), Fault.ASPECTS_SIDE),
            (with_infarct(acute=Presence.ABSENT), Fault.INFARCT_WITHOUT_INFARCT),
            (with_infarct(hyperdense_vessel=None), Fault.VESSEL_MISSING),
            (with_infarct(old_infarct=None), Fault.OLD_INFARCT_MISSING),
            (replace(normal(), mass_effect=MassEffect(midline_shift_mm=400)), Fault.SHIFT_OUTSIDE),
            (replace(normal(), key_slices=("9.9",)), Fault.SLICE_UNKNOWN),
            (replace(bleed(), extents=()), Fault.EXTENT_MISSING),
            (
                replace(bleed(), extents=(Extent(StrokeType.IPH, "1.2.6", "1.2.3"),)),
                Fault.EXTENT_REVERSED,
            ),
            (
                replace(normal(), extents=(Extent(StrokeType.IPH, "1.2.3", "1.2.4"),)),
                Fault.EXTENT_WITHOUT_FINDING,
            ),
            (replace(bleed(), rois=(replace(BOX, sop_uid="9"),)), Fault.SLICE_UNKNOWN),
            (replace(bleed(), rois=(replace(BOX, points=((1, 1),)),)), Fault.ROI_POINTS),
            (replace(bleed(), rois=(replace(BOX, points=((1, 1), (513, 5))),)), Fault.ROI_OUTSIDE),
            (replace(bleed(), rois=(Roi(RoiKind.MASK, StrokeType.IPH, "1.2.4"),)), Fault.ROI_MASK),
            (
                replace(
                    bleed(),
                    haemorrhage=Haemorrhage(
                        Presence.PRESENT,
                        {**NONE, Kind.INTRAPARENCHYMAL: Presence.PRESENT},
                        abc2=Ellipsoid(40, 3, 6, 5),
                    ),
                ),
                Fault.DIAMETER_OUTSIDE,
            ),
        ],
    )
    def test_every_fault_has_its_name(self, label: Label, fault: Fault) -> None:
        assert fault in faults(label)


class TestFindings:
    def test_a_read_becomes_stroke_types(self) -> None:
        said = findings_of(bleed())
        assert list(said) == [kind for kind in StrokeType if kind in said]
        present = {kind for kind, presence in said.items() if presence is Presence.PRESENT}
        assert present == {
            StrokeType.ANY_ICH,
            StrokeType.IPH,
            StrokeType.IVH,
            StrokeType.OLD_INFARCT,
            StrokeType.MASS_EFFECT,
        }
        assert said[StrokeType.EDH] is Presence.ABSENT

    def test_no_blood_means_none_of_its_kinds_and_a_bad_study_says_nothing(self) -> None:
        assert set(findings_of(normal()).values()) == {Presence.ABSENT}
        assert set(findings_of(normal())) == set(StrokeType)
        assert findings_of(replace(bleed(), quality=Quality(diagnostic=False))) == {}

    def test_aspects_is_that_of_the_worse_side(self) -> None:
        assert aspects_of(infarct()) == 7
        both = with_infarct(aspects=(Aspects(Side.LEFT, (Region.C,)), Aspects(Side.RIGHT, tuple(Region))))
        assert aspects_of(both) == 0
        assert aspects_of(normal()) is None

    def test_a_volume_is_half_of_abc(self) -> None:
        assert Ellipsoid(4.0, 3.0, 6, 5.0).volume_ml == pytest.approx(18.0)

    def test_a_vessel_is_a_finding(self) -> None:
        vessel = Ischaemia(Presence.ABSENT, hyperdense_vessel=Vessel.MCA_M1)
        said = findings_of(replace(normal(), ischaemia=vessel))
        assert said[StrokeType.HYPERDENSE_ARTERY] is Presence.PRESENT
        assert StrokeType.OLD_INFARCT not in said
