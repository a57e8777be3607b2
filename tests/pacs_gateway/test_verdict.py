"""What a sender is told of its study's completeness."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_gateway.completion import Announced
from pacs_gateway.headers import InstanceHeader
from pacs_gateway.stacks import stacks_of
from pacs_gateway.verdict import Wholeness, verdict_of


def header(number: int, *, spacing: float = 5.0, tilt: float = 0.0, **changes: object) -> InstanceHeader:
    made = InstanceHeader(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"1.2.3.{number}",
        study_instance_uid="1.2", series_instance_uid="1.2.3", 
        transfer_syntax_uid="1.2.840.10008.1.2.1", modality="CT",
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"), rows=16, columns=16, number_of_frames=1, series_number=2,
        acquisition_number=1, instance_number=number, position=(0.0, tilt * number, number * spacing),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), slice_thickness=spacing,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def head(*missing: int, slices: int = 50) -> list[InstanceHeader]:
    return [header(number) for number in range(1, slices + 1) if number not in missing]


def test_a_covered_head_is_complete_and_says_why() -> None:
    verdict = verdict_of(head())
    assert (verdict.code, verdict.complete) == (Wholeness.COVERED, True)
    assert verdict.text == "complete, because 50 slices 5.00 mm apart cover 250 mm"


def test_missing_slices_are_named_by_their_numbers() -> None:
    assert verdict_of(head(41, 42, 43, 44)).text == "slices 41-44 missing"
    assert verdict_of(head(7, 20, 21)).text == "slices 7, 20-21 missing"


def test_missing_slices_without_fitting_numbers_are_named_by_their_place() -> None:
    renumbered = [replace(each, instance_number=at) for at, each in enumerate(head(10, 11), start=1)]
    assert verdict_of(renumbered).text == "slices 2 between 9 and 10 (15.0 mm) missing"


def test_numbers_alone_tell_where_there_are_no_positions() -> None:
    bare = [replace(each, position=None) for each in head(41, 42, slices=45)]
    assert verdict_of(bare).missing == ("41-42",)


@pytest.mark.parametrize(
    ("expected", "code", "text"),
    [
        (50, Wholeness.COUNTED, "complete, because all 50 instances that the sender counts are here"),
        (54, Wholeness.MISSING, "50 of the 54 instances that the sender counts are here"),
    ],
)
def test_the_senders_count_is_believed(expected: int, code: Wholeness, text: str) -> None:
    verdict = verdict_of(head(), announced=Announced("count", expected, expected - 50, 0))
    assert (verdict.code, verdict.text) == (code, text)


def test_what_is_less_than_a_head_is_said_to_be() -> None:
    assert verdict_of(head(slices=10)).code is Wholeness.EVEN
    assert verdict_of([]).code is Wholeness.NOTHING
    assert verdict_of([header(1, modality="SR", position=None)]).code is Wholeness.NO_STACK


def test_a_protocol_that_steps_wider_above_misses_nothing() -> None:
    heights = [*(4.0 * n for n in range(15)), *(56.0 + 7.0 * n for n in range(1, 15))]
    slices = [header(n, position=(0.0, 0.0, z), slice_thickness=7.0) for n, z in enumerate(heights)]
    assert verdict_of(slices).complete


def test_tilt_and_doubled_places_are_seen() -> None:
    tilted = [header(n, tilt=1.5) for n in range(20)]
    assert stacks_of(tilted)[0].tilt_deg == pytest.approx(16.7, abs=0.1)
    assert verdict_of([*head(), replace(header(4), sop_instance_uid="1.2.3.99")]).doubled == 1


@given(
    first=st.integers(2, 45), length=st.integers(1, 4), spacing=st.floats(0.5, 10), order=st.randoms(),
    downward=st.booleans(),
)  # fmt: skip
def test_any_hole_inside_is_found_whatever_the_order(
    first: int, length: int, spacing: float, order: object, downward: bool
) -> None:
    gone = range(first, first + length)
    step = -spacing if downward else spacing
    slices = [header(n, spacing=step, slice_thickness=spacing) for n in range(1, 51) if n not in gone]
    order.shuffle(slices)  # type: ignore[attr-defined]
    named = str(first) if length == 1 else f"{first}-{first + length - 1}"
    assert verdict_of(slices).missing == (named,)
