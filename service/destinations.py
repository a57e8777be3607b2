"""Destination: a hospital that a patient may be referred to, its place in the order and the reason.

The order is plain: what the hospitals state that they can do, then how near they are, then who has least on
their way. What nobody has stated is said to be unknown and comes after what is stated, never before it; among
those the ones with more equipment on the region's list come first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy.orm import Session

from model.stroke import StrokeType
from service.capabilities import Capability, Stated, stated
from service.hospitals import Hospital, find_hospital, list_hospitals
from service.referrals import load_by_hospital
from service.travel_times import Road, roads_from

NEAR_MINUTES = 90
"""Door-in-door-out is to be below 90 minutes; the same is taken as near by road. Standards 4.5."""

BLEEDS = frozenset(
    {
        StrokeType.ANY_ICH,
        StrokeType.IPH,
        StrokeType.IVH,
        StrokeType.SAH,
        StrokeType.SDH,
        StrokeType.EDH,
    }
)
CLOTS = frozenset({StrokeType.ACUTE_ISCHAEMIA, StrokeType.HYPERDENSE_ARTERY})


class Fit(IntEnum):
    """Whether a hospital can do what is needed, best first."""

    STATED = 0
    UNKNOWN = 1
    """Of some of it nobody has said anything."""
    LACKING = 2
    """It says that it cannot do some of it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One hospital in the order."""

    hospital: Hospital
    fit: Fit
    has: tuple[Capability, ...]
    """Of what is needed, what it states that it has."""
    unknown: tuple[Capability, ...]
    lacks: tuple[Capability, ...]
    same_province: bool
    road: Road | None
    """None where nobody knows how long the way is."""
    load: int
    """Patients that the hub knows to be asked for or on their way there."""
    stated: int
    """How many capabilities it states in all; breaks ties between hospitals of which little is known."""

    @property
    def near(self) -> bool:
        """Same province, or within 90 minutes."""
        return self.same_province if self.road is None else self.road.minutes <= NEAR_MINUTES

    @property
    def place(self) -> tuple[float | str, ...]:
        """The smaller, the earlier in the order."""
        minutes = float("inf") if self.road is None else float(self.road.minutes)
        # where nobody says whether what is needed is there, the better equipped hospital comes first
        guess = 0 if self.fit is Fit.STATED else -self.stated
        return (self.fit, guess, not self.near, minutes, self.load, -self.stated, self.hospital.hcode)

    def reason(self, *, thai: bool) -> str:
        """Why it stands where it does, in one line."""
        parts = [*_can(self, thai=thai), _way(self, thai=thai), _load(self, thai=thai)]
        return " · ".join(part for part in parts if part)


def rank_destinations(
    session: Session, hcode: str, needs: Collection[Capability], *, without: Collection[str] = ()
) -> Sequence[Destination]:
    """Every other hospital, best first.

    Args:
        session: A reading session.
        hcode: Where the patient is.
        needs: What the patient needs.
        without: Hospitals that are not offered, because they were asked already.

    Raises:
        NotFound: no such hospital.
    """
    sender = find_hospital(session, hcode)
    says, roads, loads = stated(session), roads_from(session, hcode), load_by_hospital(session)
    found = [
        _destination(each, sender, needs, says.get(each.hcode, {}), roads, loads)
        for each in list_hospitals(session)
        if each.hcode != hcode and each.hcode not in without
    ]
    return sorted(found, key=lambda each: each.place)


def usual_needs(flagged: Collection[StrokeType]) -> list[Capability]:
    """What a patient with these findings needs as a rule; the doctor decides.

    Blood needs a neurosurgeon's word; ischaemia needs what dissolves or removes a clot.
    """
    needs = []
    if BLEEDS.intersection(flagged):
        needs.append(Capability.NEUROSURGERY)
    if CLOTS.intersection(flagged):
        needs += [Capability.THROMBOLYSIS, Capability.THROMBECTOMY]
    return needs


def _destination(
    hospital: Hospital,
    sender: Hospital,
    needs: Collection[Capability],
    says: Stated,
    roads: Mapping[str, Road],
    loads: Mapping[str, int],
) -> Destination:
    wanted = [each for each in Capability if each in needs]
    unknown = tuple(each for each in wanted if each not in says)
    lacks = tuple(each for each in wanted if each in says and not says[each].available)
    return Destination(
        hospital=hospital,
        fit=Fit.LACKING if lacks else Fit.UNKNOWN if unknown else Fit.STATED,
        has=tuple(each for each in wanted if each in says and says[each].available),
        unknown=unknown,
        lacks=lacks,
        same_province=hospital.province_en == sender.province_en,
        road=roads.get(hospital.hcode),
        load=loads.get(hospital.hcode, 0),
        stated=sum(each.available for each in says.values()),
    )


CAPABILITY_TH: Mapping[Capability, str] = {
    Capability.CT: "CT",
    Capability.MRI: "MRI",
    Capability.THROMBOLYSIS: "ยาละลายลิ่มเลือด",
    Capability.THROMBECTOMY: "ใส่สายสวนดึงลิ่มเลือด",
    Capability.NEUROSURGERY: "ประสาทศัลยกรรม",
}


def _words(capabilities: Sequence[Capability], *, thai: bool) -> str:
    if thai:
        return ", ".join(CAPABILITY_TH[each] for each in capabilities)
    return ", ".join(each.value.upper() if len(each) <= 3 else each.value for each in capabilities)


def _can(to: Destination, *, thai: bool) -> list[str]:
    parts = (
        (to.has, "แจ้งว่ามี {}", "states {}"),
        (to.lacks, "แจ้งว่าไม่มี {}", "states no {}"),
        (to.unknown, "ไม่ทราบว่ามี {} หรือไม่", "not known: {}"),
    )
    return [
        (thai_words if thai else english).format(_words(which, thai=thai))
        for which, thai_words, english in parts
        if which
    ]


def _way(to: Destination, *, thai: bool) -> str:
    province = ("จังหวัดเดียวกัน" if thai else "same province") if to.same_province else ""
    if to.road is None:
        way = "ไม่ทราบเวลาเดินทาง" if thai else "travel time not known"
    elif to.road.journeys:
        way = (
            f"{to.road.minutes} นาที (วัดจากการส่งต่อ {to.road.journeys} ครั้ง)"
            if thai
            else f"{to.road.minutes} min (measured, {to.road.journeys} journeys)"
        )
    else:
        way = f"{to.road.minutes} นาที" if thai else f"{to.road.minutes} min"
    return f"{province}, {way}" if province else way


def _load(to: Destination, *, thai: bool) -> str:
    if not to.load:
        return "ไม่มีผู้ป่วยอื่นกำลังไป" if thai else "no other patient on the way"
    return f"มีผู้ป่วยกำลังไปอีก {to.load} ราย" if thai else f"{to.load} more on the way"
