"""Who is trained on and who is kept: splits by patient, hospital and month, and the guard against leakage."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from training.cases import Case
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Split:
    """Cases by purpose; no patient is in two of them."""

    train: list[Case]
    calibration: list[Case]
    test: list[Case]
    external: list[Case] = field(default_factory=list)
    """Of held-out hospitals."""
    temporal: list[Case] = field(default_factory=list)
    """Of held-out months."""

    def parts(self) -> dict[str, list[Case]]:
        """The parts by name."""
        return {
            "train": self.train,
            "calibration": self.calibration,
            "test": self.test,
            "external": self.external,
            "temporal": self.temporal,
        }


def split_cases(cases: Sequence[Case], recipe: Recipe) -> Split:
    """The split of a recipe, checked: whole hospitals and the last months first, then by patient.

    Cases of a frozen data set stay in the part that was frozen with it; a recipe that holds out
    something else is refused where the two cross.

    Raises:
        ValueError: it leaks (`assert_disjoint`), or names a hospital that no case comes from.
    """
    loose, frozen = _frozen_parts(cases)
    rest, external, temporal = hold_out(
        loose, hospitals=recipe.held_out_hospitals, months=recipe.held_out_months
    )
    split = replace(split_patients(rest, recipe.held_out), external=external, temporal=temporal)
    for name, part in split.parts().items():
        part += frozen[name]
    assert_disjoint(split)
    return split


def fold_split(cases: Sequence[Case], recipe: Recipe, fold: int) -> Split:
    """Fold `fold` of the recipe's `folds` is the test part, the others are trained on.

    What a frozen data set keeps for its tests is in no fold.

    Raises:
        ValueError: as `split_cases`.
    """
    loose, frozen = _frozen_parts(cases)
    rest, external, temporal = hold_out(
        [*loose, *frozen["train"], *frozen["calibration"]],
        hospitals=recipe.held_out_hospitals,
        months=recipe.held_out_months,
    )
    split = Split([], [], [], external + frozen["external"], temporal + frozen["temporal"])
    for case in rest:
        mine = fold_of(case.card.patient, recipe.folds) == fold
        (split.test if mine else split.train).append(case)
    assert_disjoint(split)
    return split


def fold_of(patient: str, folds: int) -> int:
    """A patient's fold, by hash: more cases move none."""
    return int(_draw(f"fold {patient}") * folds)


def split_patients(cases: Sequence[Case], held_out: tuple[float, float]) -> Split:
    """Part the cases by a hash of the patient, so that adding cases moves none from one part to another."""
    split = Split([], [], [])
    for case in cases:
        draw = _draw(case.card.patient)
        if draw < held_out[0]:
            split.calibration.append(case)
        elif draw < sum(held_out):
            split.test.append(case)
        else:
            split.train.append(case)
    return split


def hold_out(
    cases: Sequence[Case], *, hospitals: Sequence[str], months: int
) -> tuple[list[Case], list[Case], list[Case]]:
    """Take out whole hospitals, then the last months; patients seen there are in no other part.

    Returns:
        The rest, the cases of the hospitals, the cases of the months.

    Raises:
        ValueError: no case comes from one of the hospitals.
    """
    absent = set(hospitals) - {case.card.hospital for case in cases}
    if absent:
        raise ValueError(f"no case comes from the held-out hospitals {sorted(absent)}")
    external = [case for case in cases if case.card.hospital in hospitals]
    away = {case.card.patient for case in external}
    rest = [case for case in cases if case.card.patient not in away]
    known = sorted({case.card.month for case in rest if case.card.month})
    last = set(known[len(known) - months :]) if months else set()
    temporal = [case for case in rest if case.card.month in last]
    late = {case.card.patient for case in temporal}
    return [case for case in rest if case.card.patient not in late], external, temporal


def assert_disjoint(split: Split) -> None:
    """Guard against leakage.

    Raises:
        ValueError: a patient or a hospital of the external part is in two parts, or equal slices come under
            two patients; the text names some.
    """
    seen: dict[str, set[str]] = defaultdict(set)
    for name, part in split.parts().items():
        for case in part:
            seen[case.card.patient].add(name)
    shared = sorted(patient for patient, names in seen.items() if len(names) > 1)
    if shared:
        raise ValueError(f"patients in more than one part of the split: {shared[:5]}")
    hospitals = {case.card.hospital for case in split.external}
    for name in ("train", "calibration", "test", "temporal"):
        inside = hospitals & {case.card.hospital for case in split.parts()[name]}
        if inside:
            raise ValueError(f"held-out hospitals in {name}: {sorted(inside)[:5]}")
    owner: dict[str, str] = {}
    for part in split.parts().values():
        for case in part:
            for mark in case.card.fingerprints:
                first = owner.setdefault(mark, case.card.patient)
                if first != case.card.patient:
                    raise ValueError(
                        f"{case.card.name} shows a slice of patient {first} as patient {case.card.patient}: "
                        "one of them is wrong, and a split by patient would leak"
                    )


def _frozen_parts(cases: Sequence[Case]) -> tuple[list[Case], dict[str, list[Case]]]:
    """Cases that the recipe parts, and the others by the part that was frozen with their data set."""
    parts: dict[str, list[Case]] = {name: [] for name in Split([], [], []).parts()}
    for case in cases:
        if case.card.part and case.card.part not in parts:
            raise ValueError(f"{case.card.name} is of a part {case.card.part!r}, not of {', '.join(parts)}")
        if case.card.part:
            parts[case.card.part].append(case)
    return [case for case in cases if not case.card.part], parts


def _draw(patient: str) -> float:
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:4], "big") / 2**32
