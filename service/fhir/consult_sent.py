"""What another system sends to ask for advice, or to give it: the Task of a consult.

Only what the hub acts on is read. A value in a unit that is not the hub's is refused and never converted.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from service.consult_details import Advice, ConsultDetails, Outcome
from service.errors import Malformed
from service.fhir.consult_terms import (
    ADVICE_TEXTS,
    ADVICE_WORDS,
    CONSULTATION,
    MOMENTS,
    QUANTITIES,
    SCORES,
    SPECIALTY,
    TRANSFER,
    WORDS,
    word_system,
)
from service.fhir.elements import DICOM_UID, HCODE, Resource
from service.fhir.sent import SentConcept, SentNote, SentPart, SentReference
from service.specialties import Specialty

Told = TypeVar("Told", ConsultDetails, Advice)


class SentQuantity(SentPart):
    """A Quantity."""

    value: float
    unit: str = ""
    code: str = ""


class SentValue(SentPart):
    """An input or an output of a Task."""

    type: SentConcept
    valueDateTime: datetime | None = None
    valueInteger: int | None = None
    valueQuantity: SentQuantity | None = None
    valueCodeableConcept: SentConcept | None = None
    valueBoolean: bool | None = None
    valueString: str | None = None

    def means(self, code: Resource) -> bool:
        """Whether it tells what a coding stands for."""
        return bool(self.type.code_of(code["system"]) == code["code"])


class SentQuestion(SentPart):
    """A consult that another system asks for."""

    resourceType: Literal["Task"]
    status: Literal["requested"]
    intent: Literal["order"]
    code: SentConcept
    description: str
    focus: SentReference
    owner: SentReference
    performerType: list[SentConcept] = Field(min_length=1, max_length=1)
    input: list[SentValue] = Field(default_factory=list)

    @property
    def is_consult(self) -> bool:
        """Whether it asks for a consultation."""
        return bool(self.code.code_of(CONSULTATION["system"]) == CONSULTATION["code"])

    @property
    def study_uid(self) -> str:
        """The Study Instance UID of the CT; empty where none is named in a way known here."""
        return self.focus.named("ImagingStudy", DICOM_UID)

    @property
    def to_hcode(self) -> str:
        """The hospital that is asked; empty where it is not named in a way known here."""
        return self.owner.named("Organization", HCODE)

    @property
    def specialty(self) -> Specialty:
        """Whose advice is asked for.

        Raises:
            Malformed: none that is known here.
        """
        code = self.performerType[0].code_of(SPECIALTY)
        if code not in set(Specialty):
            raise Malformed(f"Task.performerType must have a code of {SPECIALTY}: {', '.join(Specialty)}")
        return Specialty(code)

    def details(self) -> ConsultDetails:
        """The patient's condition.

        Raises:
            Malformed: a value is out of bounds, has another unit, or none.
        """
        told: dict[str, Any] = {}
        for name, code in MOMENTS.items():
            told[name] = _only(self.input, code, "valueDateTime")
        for name, code in SCORES.items():
            told[name] = _only(self.input, code, "valueInteger")
        for name, (code, unit) in QUANTITIES.items():
            told[name] = _number(_only(self.input, code, "valueQuantity"), code, unit)
        for name, (code, closed) in WORDS.items():
            if (said := _only(self.input, code, "valueCodeableConcept")) is not None:
                told[name] = said.code_of(word_system(closed))
        return _checked(ConsultDetails, "input", told)


class SentConsult(SentPart):
    """A consult's Task with the status that it is to have."""

    resourceType: Literal["Task"]
    id: str
    status: Literal["received", "accepted", "in-progress", "completed", "cancelled"]
    statusReason: SentConcept = Field(default_factory=SentConcept)
    output: list[SentValue] = Field(default_factory=list)
    note: list[SentNote] = Field(default_factory=list)

    @property
    def words(self) -> str:
        """What is said with it."""
        texts = (self.statusReason.text, *(note.text for note in self.note))
        return "\n".join(each for each in texts if each)

    def advice(self) -> Advice:
        """The answer.

        Raises:
            Malformed: it does not say all that an answer must.
        """
        told: dict[str, Any] = {
            name: text for name in ("conditions", "text") if (text := self._text(name)) is not None
        }
        told["imaging"] = [
            said.code_of(word_system(ADVICE_WORDS["imaging"][1]))
            for said in _values(self.output, ADVICE_WORDS["imaging"][0], "valueCodeableConcept")
        ]
        told["transfer"] = _only(self.output, TRANSFER, "valueBoolean")
        told["thrombolysis"] = self._word("thrombolysis")
        return _checked(Advice, "output", told)

    def outcome(self) -> tuple[Outcome, str]:
        """What came of it, and that in words.

        Raises:
            Malformed: there is no outcome that is known here.
        """
        code = self._word("outcome")
        if code not in set(Outcome):
            raise Malformed(f"Task.output must have an outcome: {', '.join(Outcome)}")
        return Outcome(code), self._text("ending") or ""

    def _word(self, name: str) -> str | None:
        code, closed = ADVICE_WORDS[name]
        said = _only(self.output, code, "valueCodeableConcept")
        return None if said is None else said.code_of(word_system(closed))

    def _text(self, name: str) -> str | None:
        said: str | None = _only(self.output, ADVICE_TEXTS[name], "valueString")
        return said


def _values(parts: Sequence[SentValue], code: Resource, kind: str) -> list[Any]:
    named = [each for each in parts if each.means(code)]
    found = [getattr(each, kind) for each in named]
    if None in found:
        raise Malformed(f"{code['display']!r} ({code['code']}) must be told as {kind}")
    return found


def _only(parts: Sequence[SentValue], code: Resource, kind: str) -> Any:
    found = _values(parts, code, kind)
    if len(found) > 1:
        raise Malformed(f"{code['display']!r} ({code['code']}) was sent {len(found)} times")
    return found[0] if found else None


def _number(said: SentQuantity | None, code: Resource, unit: str) -> float | None:
    if said is None:
        return None
    if (said.code or said.unit or unit) != unit:
        raise Malformed(
            f"{code['display']!r} is taken in {unit} only, not in {(said.code or said.unit)[:20]!r}"
        )
    return said.value


def _checked(kind: type[Told], where: str, told: Mapping[str, Any]) -> Told:
    try:
        return kind.model_validate(told)
    except ValidationError as error:
        wrong = [
            f"Task.{where}, {'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise Malformed("; ".join(wrong)) from None
