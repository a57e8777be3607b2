"""Order, spacing, tilt, duplicates and holes of a stack."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.geometry import affine_lps, geometry_notes, missing_slices, sort_stack, tilt_degrees
from model.headers import SliceHeader
from tests.model.test_series import FLAT, series


def stack_at(*heights: float, thickness: float = 5.0) -> list[SliceHeader]:
    return [
        replace(header, position=(0.0, 0.0, height), thickness_mm=thickness)
        for header, height in zip(series(count=len(heights)), heights, strict=True)
    ]


class TestSortStack:
    @given(st.randoms())
    def test_the_order_of_the_files_does_not_matter(self, chance: random.Random) -> None:
        headers = series(count=12)
        chance.shuffle(headers)
        assert sort_stack(headers).positions_mm.tolist() == [5.0 * index for index in range(12)]

    def test_the_most_inferior_is_first_though_the_image_is_turned(self) -> None:
        turned = series(count=3, orientation=(-1.0, 0, 0, 0, 1.0, 0))
        assert [header.position[2] for header in sort_stack(turned).headers if header.position] == [0, 5, 10]

    def test_of_two_at_one_position_the_last_stays(self) -> None:
        stack = sort_stack(stack_at(0, 5, 5.01, 10))
        assert [header.sop_instance_uid for header in stack.headers] == ["1.1.0", "1.1.2", "1.1.3"]
        assert stack.duplicates == 1


class TestMissingSlices:
    @pytest.mark.parametrize(
        ("heights", "missing"),
        [
            ([0, 5, 10, 15, 20], 0),
            ([0, 5, 15, 20, 25], 1),
            ([0, 5, 25, 30, 35, 40], 3),
            ([0, 2.5, 5, 7.5, 10, 15, 20, 25, 30, 35], 0),
            ([0, 5, 5.5, 10.5, 15.5], 0),
        ],
    )
    def test_counts_what_the_gaps_leave_room_for(self, heights: list[float], missing: int) -> None:
        assert missing_slices(sort_stack(stack_at(*heights))) == missing

    def test_thin_slices_far_apart_in_even_steps_are_a_protocol(self) -> None:
        assert missing_slices(sort_stack(stack_at(*np.arange(0, 150, 3.0), thickness=0.75))) == 0

    def test_two_steps_of_even_gaps_are_a_protocol(self) -> None:
        heights = [*np.arange(0, 50, 2.5), *np.arange(50, 150, 10.0)]
        assert missing_slices(sort_stack(stack_at(*heights, thickness=2.5))) == 0


class TestTilt:
    @pytest.mark.parametrize("degrees", [-20.0, 0.0, 15.0, 30.0])
    def test_comes_from_the_positions(self, degrees: float) -> None:
        angle = np.radians(degrees)
        tilted = series(orientation=(1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle))))
        stack = sort_stack(tilted)
        assert tilt_degrees(stack) == pytest.approx(degrees, abs=1e-6)
        assert stack.spacing_mm == pytest.approx(5 * np.cos(angle))

    def test_an_oblique_stack_without_shear_has_none(self) -> None:
        angle = np.radians(15)
        headers = [
            replace(
                header,
                orientation=(1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle))),
                position=(0.0, float(index * np.sin(angle)), float(index * np.cos(angle))),
            )
            for index, header in enumerate(series())
        ]
        assert tilt_degrees(sort_stack(headers)) == pytest.approx(0, abs=1e-6)

    def test_a_tag_that_differs_is_only_noted(self) -> None:
        notes = geometry_notes(sort_stack(series(gantry_tilt=15.0)))
        assert [note.code for note in notes] == ["tilt_differs"]
        assert "15.0" in notes[0].text


class TestAffine:
    def test_reaches_every_slice_of_a_tilted_stack(self) -> None:
        tilted = series(orientation=(1.0, 0.0, 0.0, 0.0, 0.9659258, -0.2588190))
        affine = affine_lps(sort_stack(tilted))
        for index, header in enumerate(tilted):
            assert (affine @ [index, 0, 0, 1])[:3] == pytest.approx(header.position, abs=1e-3)

    def test_rows_go_to_the_back_and_columns_to_the_left(self) -> None:
        affine = affine_lps(sort_stack(series(orientation=FLAT)))
        assert (affine @ [0, 2, 0, 1])[:3] == pytest.approx([0, 0.9, 0])
        assert (affine @ [0, 0, 2, 1])[:3] == pytest.approx([0.9, 0, 0])


class TestNotes:
    def test_uneven_spacing_names_the_gaps(self) -> None:
        (note,) = geometry_notes(sort_stack(stack_at(0, 4, 8, 9, 16, 23)))
        assert note.code == "uneven_spacing"
        for gap in ("4.00 mm x 2", "1.00 mm x 1", "7.00 mm x 2"):
            assert gap in note.text

    def test_a_sideways_jump_is_noted(self) -> None:
        headers = series()
        headers[10] = replace(headers[10], position=(12.0, 0.0, 50.0))
        assert "shifted_slices" in {note.code for note in geometry_notes(sort_stack(headers))}
