"""Small reads for the tests of labels and of what is made of them."""

from labeling.completeness import Images
from labeling.labels import (
    Aspects,
    Extent,
    Haemorrhage,
    Ischaemia,
    Kind,
    Label,
    MassEffect,
    Presence,
    Quality,
    Region,
    Side,
    Territory,
    Triage,
    Vessel,
)
from model.stroke import StrokeType

IMAGES = Images([f"1.2.{number}" for number in range(10)], rows=512, columns=512)
NONE = dict.fromkeys(Kind, Presence.ABSENT)


def normal() -> Label:
    """A complete read of a head without any finding."""
    return Label(
        quality=Quality(diagnostic=True),
        haemorrhage=Haemorrhage(Presence.ABSENT),
        ischaemia=Ischaemia(Presence.ABSENT, hyperdense_vessel=Vessel.NONE, old_infarct=False),
        mass_effect=MassEffect(),
        triage=Triage.NORMAL,
        confidence=5,
    )


def bleed() -> Label:
    """A complete read of a deep bleed that broke into the ventricles."""
    seen = {Kind.INTRAPARENCHYMAL: Presence.PRESENT, Kind.INTRAVENTRICULAR: Presence.PRESENT}
    return Label(
        quality=Quality(diagnostic=True),
        haemorrhage=Haemorrhage(Presence.PRESENT, {**NONE, **seen}),
        ischaemia=Ischaemia(Presence.ABSENT, hyperdense_vessel=Vessel.NONE, old_infarct=True),
        mass_effect=MassEffect(midline_shift_mm=4.0),
        triage=Triage.CRITICAL,
        confidence=5,
        extents=(Extent(StrokeType.IPH, "1.2.3", "1.2.6"), Extent(StrokeType.IVH, "1.2.4", "1.2.4")),
    )


def infarct() -> Label:
    """A complete read of an infarct of the left middle cerebral artery."""
    scored = Aspects(Side.LEFT, (Region.I, Region.M1, Region.M2))
    return Label(
        quality=Quality(diagnostic=True),
        haemorrhage=Haemorrhage(Presence.ABSENT),
        ischaemia=Ischaemia(
            Presence.PRESENT, Side.LEFT, (Territory.MCA,), (scored,), Vessel.NONE, old_infarct=False
        ),
        mass_effect=MassEffect(),
        triage=Triage.URGENT,
        confidence=3,
        extents=(Extent(StrokeType.ACUTE_ISCHAEMIA, "1.2.5", "1.2.8"),),
    )
