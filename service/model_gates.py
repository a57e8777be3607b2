"""Gates: what must be shown of a model before it may read, each in words with its figures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from labeling.intervals import Figure, paired_auroc
from labeling.wording import Both
from model.stroke import StrokeType
from service.evaluations import Report, Row, Share, common_evaluations
from service.model_states import ModelVerb
from service.models import Model, steps_of
from service.placements import models_at
from service.shadows import count_shadowed
from service.shipped import Standard

GOLDEN_LIMIT = 0.01
"""Of a probability, as the worker demands too."""
MARGIN = 0.01
"""By so much an area under the ROC curve may be lower, at the lower end of the difference's interval."""
MOST_LOST = 0.10
"""By so much the sensitivity or specificity of a stratum may fall."""
LEAST_OF_EACH = 10
"""Studies with a finding, and without, below which a comparison shows nothing."""
LEAST_IN_STRATUM = 20
"""Studies; a smaller stratum says nothing."""
LEAST_SHADOWED = 10
"""Real studies of that place that it must have read beside the live model."""
_ROUNDING = 1e-9


class GateName(StrEnum):
    """What is asked."""

    GOLDEN = "golden"
    INTENDED = "intended"
    MEASURED = "measured"
    ACCURACY = "accuracy"
    STRATA = "strata"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: whether it is open, and why."""

    name: GateName
    holds: bool
    said: Both


def look_at_gates(session: Session, model: Model, hcode: str, *, standard: Standard) -> list[Gate]:
    """Every gate of a model in one place, against what reads there now.

    Args:
        session: A session.
        model: The model that would be promoted.
        hcode: The hospital, or empty for the region.
        standard: The package of HUB_MODEL, for where no model is live.
    """
    live = standard_at(session, hcode, standard)
    gates = [_golden(session, model), _intended(model, live)]
    reports = common_evaluations(session, model.digest, live.digest)
    gates.append(_measured(model, live, reports))
    if reports is not None:
        gates += _accuracy(*reports, live)
        gates.append(_strata(*reports, live))
    return [*gates, _shadow(session, model, hcode)]


def standard_at(session: Session, hcode: str, standard: Standard) -> Standard:
    """What reads in a place now."""
    live = models_at(session, hcode or None).live
    if live is None:
        return standard
    return Standard(live.name, live.digest, tuple(map(StrokeType, live.assessed)))


def _golden(session: Session, model: Model) -> Gate:
    newest = steps_of(session, model, limit=1)
    if newest and newest[0].verb is ModelVerb.FAULT:
        why = newest[0].reason
        return Gate(
            GateName.GOLDEN,
            False,
            Both(f"เครื่องประมวลผลใช้แบบจำลองนี้ไม่ได้: {why}", f"A worker could not use it: {why}."),
        )
    off, engine = model.golden_off_by, model.engine
    return Gate(
        GateName.GOLDEN,
        off <= GOLDEN_LIMIT,
        Both(
            f"ผลของกรณีอ้างอิงต่างไปไม่เกิน {off:.4f} (ขีดจำกัด {GOLDEN_LIMIT:g}, {engine})",
            f"Its golden studies are off by {off:.4f} at most; the limit is {GOLDEN_LIMIT:g} ({engine}).",
        ),
    )


def _intended(model: Model, live: Standard) -> Gate:
    missing = [kind.value for kind in live.assessed if kind.value not in model.assessed]
    own, theirs = ", ".join(model.assessed) or "-", ", ".join(live.assessed) or "-"
    if missing:
        lost = ", ".join(missing)
        said = Both(
            f"แบบจำลองนี้ไม่ตอบเรื่อง {lost} ซึ่ง {live.name} ตอบอยู่",
            f"It says nothing of {lost}, of which {live.name} does; it answers for {own}.",
        )
    else:
        said = Both(
            f"ตอบครบทุกเรื่องที่ {live.name} ตอบ ({theirs})",
            f"It answers for all that {live.name} does: {theirs}.",
        )
    return Gate(GateName.INTENDED, not missing, said)


def _measured(model: Model, live: Standard, reports: tuple[Report, Report] | None) -> Gate:
    if reports is None:
        said = Both(
            f"ยังไม่มีผลประเมินของ {model.name} และ {live.name} บนกรณีชุดเดียวกัน "
            "(hub models evaluation report.json)",
            f"{model.name} and {live.name} were not measured on the same studies; run training.evaluate on "
            "one manifest for both, and `hub models evaluation report.json` for each report.",
        )
    else:
        number = len(reports[0].studies)
        said = Both(
            f"{model.name} และ {live.name} ประเมินบนกรณีชุดเดียวกัน {number} ราย",
            f"{model.name} and {live.name} were measured on the same {number} studies.",
        )
    return Gate(GateName.MEASURED, reports is not None, said)


def _accuracy(new: Report, old: Report, live: Standard) -> Iterator[Gate]:
    """Paired DeLong of every finding that the live model answers for, over every population with enough."""
    known = {each.case: each for each in old.studies}
    for kind in live.assessed:
        compared = False
        for population in dict.fromkeys(each.population for each in new.studies):
            pairs = [
                (each.probabilities[kind], known[each.case].probabilities[kind], each.labels[kind])
                for each in new.studies
                if each.population == population
                and kind in each.labels
                and kind in each.probabilities
                and kind in known[each.case].probabilities
            ]
            truth = [label for *_, label in pairs]
            if min(truth.count(0), truth.count(1)) < LEAST_OF_EACH:
                continue
            found = paired_auroc(*zip(*pairs, strict=True))
            assert found is not None, population
            compared = True
            yield _compared(f"{population} {kind.value}", found.first, found.second, found.difference)
        if not compared:
            yield _too_few(kind)


def _too_few(kind: StrokeType) -> Gate:
    said = Both(
        f"{kind.value}: ชุดประเมินมีกรณีที่พบหรือไม่พบน้อยกว่า {LEAST_OF_EACH} ราย จึงเทียบไม่ได้",
        f"{kind.value}: fewer than {LEAST_OF_EACH} studies with it, or without it, so nothing can be shown.",
    )
    return Gate(GateName.ACCURACY, False, said)


def _compared(what: str, new: float, old: float, difference: Figure) -> Gate:
    low, high = difference.low, difference.high
    figures = (
        f"AUROC {new:.3f}, {old:.3f}; {difference.value:+.3f} ({low:+.3f} to {high:+.3f}, n={difference.num})"
    )
    if low > -MARGIN:
        said = Both(f"{what}: ไม่ด้อยกว่าเดิม: {figures}", f"{what}: not worse than the live model: {figures}.")
    elif high < 0:
        said = Both(f"{what}: แย่กว่าเดิม: {figures}", f"{what}: worse than the live model: {figures}.")
    else:
        said = Both(
            f"{what}: ยังพิสูจน์ไม่ได้ว่าไม่ด้อยกว่าเดิมเกิน {MARGIN:g}: {figures}",
            f"{what}: not shown to be within {MARGIN:g} of the live model; more studies may: {figures}.",
        )
    return Gate(GateName.ACCURACY, low > -MARGIN, said)


def _strata(new: Report, old: Report, live: Standard) -> Gate:
    falls = list(_falls(new.figures, old.figures, live.assessed))
    limit = f"{100 * MOST_LOST:.0f}"
    if falls:
        listed = "; ".join(falls)
        said = Both(
            f"บางกลุ่มแย่ลงเกิน {limit} จุด: {listed}", f"A stratum loses more than {limit} points: {listed}."
        )
    else:
        said = Both(
            f"ไม่มีกลุ่มใด (ตั้งแต่ {LEAST_IN_STRATUM} ราย) แย่ลงเกิน {limit} จุด",
            f"No stratum of {LEAST_IN_STRATUM} studies or more loses more than {limit} points.",
        )
    return Gate(GateName.STRATA, not falls, said)


def _shadow(session: Session, model: Model, hcode: str) -> Gate:
    read, otherwise = count_shadowed(session, model, hcode)
    said = Both(
        f"อ่านคู่ขนานแล้ว {read} ราย (ต้องมีอย่างน้อย {LEAST_SHADOWED}) ตัดสินต่างจากเดิม {otherwise} ราย",
        f"It has read {read} studies there in shadow, {LEAST_SHADOWED} are asked; "
        f"of {otherwise} it decided otherwise than the live model.",
    )
    return Gate(GateName.SHADOW, read >= LEAST_SHADOWED, said)


def _falls(new: Sequence[Row], old: Sequence[Row], assessed: Sequence[StrokeType]) -> Iterator[str]:
    before = {(row.population, row.stroke_type, s.column, s.group): s for row in old for s in row.strata}
    for row in new:
        for each in row.strata:
            was = before.get((row.population, row.stroke_type, each.column, each.group))
            if was is None or row.stroke_type not in assessed:
                continue
            where = f"{row.population} {row.stroke_type.value}, {each.column} {each.group}"
            for name, now, then in (
                ("sensitivity", each.sensitivity, was.sensitivity),
                ("specificity", each.specificity, was.specificity),
            ):
                if now and then and _is_fall(now, then):
                    yield f"{where}: {name} {then.value:.3f} -> {now.value:.3f} (n={now.num})"


def _is_fall(now: Share, then: Share) -> bool:
    return now.num >= LEAST_IN_STRATUM and now.value < then.value - MOST_LOST - _ROUNDING
