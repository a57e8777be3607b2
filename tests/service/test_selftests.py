"""What a vendor is told of a trial: each check passes, warns and fails for its own reason."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from string import Formatter

import pytest

from pacs_gateway.arrivals import Ending
from pacs_gateway.callers import Sender
from pacs_gateway.commitments import CommitmentRequest
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.identity import IDENTITY_TAGS, PATIENT_ID, PATIENT_NAME, SPECIFIC_CHARACTER_SET, identity_of
from pacs_gateway.offers import OfferedContext
from pacs_gateway.trials import Trial
from service.selftests import SelfTest, Status, judge, self_test_columns, self_tests_csv, sentences

NOW = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
SENDER = Sender("UDON_CT1", "IMAGINGHUBTEST", "10.8.0.5", "10671", "ab" * 32)
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, BASELINE, JPEG_XL = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.110"
NAME = "สมชาย^ใจดี"


def slices(count: int = 30, *gone: int, syntax: str = EXPLICIT) -> tuple[InstanceHeader, ...]:
    return tuple(
        InstanceHeader(
            sop_class_uid=CT,
            sop_instance_uid=f"1.2.3.{n}",
            study_instance_uid="1.2",
            series_instance_uid="1.2.3",
            transfer_syntax_uid=syntax,
            modality="CT",
            image_type=("ORIGINAL", "PRIMARY"),
            rows=16,
            columns=16,
            number_of_frames=1,
            series_number=2,
            acquisition_number=1,
            instance_number=n,
            position=(0.0, 0.0, n * 5.0),
            orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            slice_thickness=5.0,
        )
        for n in range(1, count + 1)
        if n not in gone
    )


def identity(declared: str, raw: bytes, patient_id: bytes = b"HN1", **more: bytes) -> object:
    values = dict.fromkeys(IDENTITY_TAGS, b"")
    values |= {SPECIFIC_CHARACTER_SET: declared.encode(), PATIENT_NAME: raw, PATIENT_ID: patient_id}
    values |= {0x00100021: more.get("issuer", b"10671"), 0x00100030: more.get("born", b"19600102")}
    return identity_of(values, SENDER)


GOOD = Trial(
    number=7,
    sender=SENDER,
    opened_at=NOW,
    closed_at=NOW + timedelta(seconds=1),
    endings=(Ending.RELEASED,),
    details=(),
    offer=(OfferedContext(CT, (EXPLICIT,), EXPLICIT),),
    study_instance_uid="1.2",
    associations=1,
    stored=30,
    duplicate=0,
    conflict=0,
    refused=0,
    reasons=(),
    headers=slices(),
    identity=identity("ISO_IR 192", NAME.encode()),  # type: ignore[arg-type]
    commitments=(),
    megabytes=16.0,
    seconds=1.0,
)


def asked(**changes: object) -> CommitmentRequest:
    made = CommitmentRequest(
        number=1,
        transaction_uid="1.2.9",
        calling_ae="UDON_CT1",
        called_ae="IMAGINGHUBTEST",
        address="10.8.0.5",
        hcode="10671",
        references=((CT, "1.2.3.1"),),
        asked_at=NOW,
        told_at=NOW,
        expired=False,
        attempts=1,
        last_error="",
        committed=30,
        failed=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def check(trial: Trial, name: str) -> tuple[Status, str]:
    [found] = [each for each in judge(trial).checks if each.name == name]
    assert found.said("th")
    return found.status, found.said("en")


def test_a_good_trial_passes_and_names_what_was_not_tested() -> None:
    found = judge(GOOD)
    assert found.outcome is Status.PASS
    statuses = {each.name: each.status for each in found.checks}
    assert statuses.pop("commitment") is Status.NOT_TESTED
    assert set(statuses.values()) == {Status.PASS}
    assert len(statuses) == 10


CASES: dict[str, tuple[str, Callable[[Trial], Trial], Status, str]] = {
    "learned": (
        "caller",
        lambda t: replace(t, sender=replace(SENDER, hcode=None)),
        Status.WARN,
        "hub caller add",
    ),
    "refused": (
        "caller",
        lambda t: replace(t, endings=(Ending.REFUSED,), details=("no caller 'X' is listed",)),
        Status.FAIL,
        "no caller 'X'",
    ),
    "plain": (
        "tls",
        lambda t: replace(t, sender=replace(SENDER, certificate="")),
        Status.WARN,
        "not encrypted",
    ),
    "handshake": (
        "tls",
        lambda t: replace(t, endings=(Ending.REFUSED,), details=("no TLS: unknown ca",)),
        Status.FAIL,
        "unknown ca",
    ),
    "rejected": (
        "contexts",
        lambda t: replace(t, offer=(*t.offer, OfferedContext("1.2.840.10008.5.1.4.31", (EXPLICIT,), ""))),
        Status.WARN,
        "1 of 2 kinds",
    ),
    "nothing": ("delivery", lambda t: replace(t, stored=0, headers=()), Status.NOT_TESTED, "Push any CT"),
    "aborted": ("delivery", lambda t: replace(t, endings=(Ending.ABORTED,)), Status.WARN, "aborted"),
    "unstored": ("delivery", lambda t: replace(t, refused=2, reasons=("cut off",)), Status.FAIL, "2 of 32"),
    "lossy": ("transfer_syntax", lambda t: replace(t, headers=slices(syntax=BASELINE)), Status.WARN, "lossy"),
    "jpeg xl": (
        "transfer_syntax",
        lambda t: replace(t, headers=slices(syntax=JPEG_XL)),
        Status.FAIL,
        "decoded",
    ),
    "no thai": ("charset", lambda t: with_name(t, "", b"Somchai^J"), Status.NOT_TESTED, "no Thai"),
    "undeclared": ("charset", lambda t: with_name(t, "", NAME.encode("cp874")), Status.WARN, "ISO_IR 166"),
    "belied": ("charset", lambda t: with_name(t, "ISO_IR 166", NAME.encode()), Status.WARN, "to ISO_IR 192"),
    "no hn": ("identity", lambda t: with_name(t, "", b"A", patient_id=b""), Status.FAIL, "PatientID"),
    "issuer": ("identity", lambda t: with_name(t, "", b"A", issuer=b""), Status.WARN, "code 10671"),
    "era": ("identity", lambda t: with_name(t, "", b"A", born=b"25030102"), Status.WARN, "Buddhist"),
    "again": ("duplicates", lambda t: replace(t, duplicate=30), Status.WARN, "30 instances"),
    "conflict": ("duplicates", lambda t: replace(t, conflict=1), Status.FAIL, "other content"),
    "hole": (
        "geometry",
        lambda t: replace(t, headers=slices(30, 11, 12)),
        Status.FAIL,
        "Slices 11-12 are missing",
    ),
    "doubled": ("geometry", lambda t: replace(t, headers=(*slices(), slices(3)[2])), Status.WARN, "1 slices"),
    "no ct": (
        "geometry",
        lambda t: replace(t, headers=tuple(replace(each, modality="SR") for each in slices(2))),
        Status.FAIL,
        "no CT slices",
    ),
    "slow": ("speed", lambda t: replace(t, seconds=30.0), Status.WARN, "1.0 images/s"),
    "few": ("speed", lambda t: replace(t, stored=3), Status.NOT_TESTED, "Fewer than 10"),
    "committed": ("commitment", lambda t: replace(t, commitments=(asked(),)), Status.PASS, "30 instances"),
    "waiting": (
        "commitment",
        lambda t: replace(t, commitments=(asked(told_at=None),)),
        Status.WARN,
        "not settled",
    ),
    "untold": (
        "commitment",
        lambda t: replace(t, commitments=(asked(told_at=None, last_error="refused"),)),
        Status.FAIL,
        "partner in commitment",
    ),
}


def with_name(trial: Trial, declared: str, raw: bytes, **more: bytes) -> Trial:
    return replace(trial, identity=identity(declared, raw, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case))
def test_check_says_what_to_change(case: str) -> None:
    name, change, status, text = CASES[case]
    found, said = check(change(GOOD), name)
    assert (found, text in said) == (status, True), said


def test_the_worst_check_is_the_outcome() -> None:
    assert judge(replace(GOOD, duplicate=1)).outcome is Status.WARN
    assert judge(replace(GOOD, duplicate=1, conflict=1)).outcome is Status.FAIL


def test_every_sentence_exists_in_both_languages_with_the_same_values() -> None:
    for name, parts in sentences().items():
        assert parts["name"].keys() == {"en", "th"}, name
        for status in parts.keys() - {"name"}:
            Status(status)
            fields = [
                {
                    field.removesuffix("_th")
                    for _, field, _, _ in Formatter().parse(parts[status][language])
                    if field
                }
                for language in ("en", "th")
            ]
            assert fields[0] == fields[1], (name, status)


def fields_of(sentence: str) -> set[str]:
    return {field.removesuffix("_th") for _, field, _, _ in Formatter().parse(sentence) if field}


def test_what_leaves_holds_no_patient() -> None:
    found = judge(replace(GOOD, identity=identity("", NAME.encode("cp874"), b"HN9988")))  # type: ignore[arg-type]
    for text in (str(self_test_columns(found)), self_tests_csv([found])):
        assert "HN9988" not in text
        assert "สมชาย" not in text


def test_the_table_has_a_line_for_each_check() -> None:
    found: SelfTest = judge(GOOD)
    assert len(self_tests_csv([found]).splitlines()) == 1 + len(found.checks)
