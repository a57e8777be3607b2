"""The series that is read, those that are not, and why."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.geometry import affine_lps, geometry_notes, missing_slices, sort_stack
from model.headers import PixelFormat, SliceHeader
from model.series import choose_series, contrast_words, is_bone_kernel, rank_series, split_stacks
from model.stroke import Refusal

FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def series(uid: str = "1.1", count: int = 30, spacing: float = 5.0, **values: object) -> list[SliceHeader]:
    first = SliceHeader(
        path=Path("none"),
        series_instance_uid=uid,
        sop_instance_uid="",
        modality="CT",
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        description="HEAD",
        kernel="H31s",
        orientation=FLAT,
        pixel_spacing=(0.45, 0.45),
        thickness_mm=spacing,
        acquired="20260102101500",
        pixels=PixelFormat(rows=512, columns=512),
    )
    return [
        replace(
            first,
            sop_instance_uid=f"{uid}.{index}",
            instance_number=index,
            **{"position": (0.0, 0.0, index * spacing), **values},  # type: ignore[arg-type]
        )
        for index in range(count)
    ]


class TestChooseSeries:
    def test_takes_the_only_one(self) -> None:
        choice = choose_series(series())
        assert (choice.chosen, choice.runner_up, choice.rejected) == ("1.1", None, {})

    @pytest.mark.parametrize(
        ("worse", "reason"),
        [
            ({"kernel": "H70h"}, "soft kernel"),
            ({"description": "CHEST 5MM", "acquired": "20260102120000"}, "a head by name"),
            ({"description": "", "body_part": "ABDOMEN"}, "a head by name"),
            ({"image_type": ("DERIVED", "PRIMARY", "AXIAL")}, "original"),
            ({"spacing": 0.75, "count": 200}, "slices every 5.00 mm"),
            ({"count": 18}, "150 mm covered"),
            ({"acquired": "20260102090000"}, "acquired"),
        ],
    )
    def test_prefers_what_a_reader_would(self, worse: dict[str, object], reason: str) -> None:
        for order in (1, -1):
            both = [*series("1.2", **worse), *series("1.1")][::order]  # type: ignore[arg-type]
            choice = choose_series(both)
            assert (choice.chosen, choice.runner_up) == ("1.1", "1.2")
            assert reason in choice.reason

    @pytest.mark.parametrize(
        ("values", "refusal", "words"),
        [
            ({"modality": "MR"}, Refusal.NOT_CT, "MR"),
            ({"modality": "SR", "pixels": None}, Refusal.NOT_CT, "SR"),
            ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, Refusal.NO_IMAGES, "localizer"),
            ({"image_type": ("DERIVED", "SECONDARY", "SCREEN SAVE")}, Refusal.NO_IMAGES, "screenshot"),
            ({"description": "Dose Report"}, Refusal.NO_IMAGES, "dose report"),
            ({"count": 9}, Refusal.TOO_FEW_SLICES, "9 slices"),
            ({"orientation": SAGITTAL}, Refusal.NOT_AXIAL, "0.00"),
            ({"position": None}, Refusal.NO_GEOMETRY, "ImagePositionPatient"),
            ({"orientation": (0.0,) * 6}, Refusal.NOT_AXIAL, "0.00"),
            ({"contrast_agent": "OMNIPAQUE 350"}, Refusal.CONTRAST, "OMNIPAQUE"),
        ],
    )
    def test_rejects_with_the_reason(self, values: dict[str, object], refusal: Refusal, words: str) -> None:
        alone = choose_series(series("1.2", **values))  # type: ignore[arg-type]
        assert alone.refusals == (refusal,)
        assert words in alone.rejected["1.2"]
        beside = choose_series([*series("1.2", **values), *series("1.1")])  # type: ignore[arg-type]
        assert (beside.chosen, beside.refusals) == ("1.1", ())
        assert words in beside.rejected["1.2"]

    def test_without_headers_there_are_no_images(self) -> None:
        assert choose_series([]).refusals == (Refusal.NO_IMAGES,)

    def test_a_tilt_of_35_degrees_is_axial(self) -> None:
        tilted = (1.0, 0.0, 0.0, 0.0, 0.8192, -0.5736)
        assert choose_series(series(orientation=tilted)).chosen == "1.1"

    def test_a_localizer_inside_the_series_is_split_off(self) -> None:
        scout = series("1.1", 1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), orientation=SAGITTAL)
        choice = choose_series([*scout, *series("1.1")])
        assert len(choice.headers) == 30
        assert choice.rejected == {"1.1#2": "A localizer (topogram)."}

    def test_two_kernels_in_one_series_are_two_stacks(self) -> None:
        bone = [
            replace(header, sop_instance_uid=f"9.{i}", kernel="BONE") for i, header in enumerate(series())
        ]
        choice = choose_series([*bone, *series()])
        assert {header.kernel for header in choice.headers} == {"H31s"}

    def test_two_passes_in_one_series_are_two_stacks_and_the_later_is_read(self) -> None:
        first = series(acquisition_number="1", acquired="20260102090000")
        second = [
            replace(header, sop_instance_uid=f"9.{i}", acquisition_number="2", acquired="20260102100000")
            for i, header in enumerate(series())
        ]
        choice = choose_series([*first, *second])
        assert {header.acquisition_number for header in choice.headers} == {"2"}

    def test_contrast_is_read_only_for_want_of_a_plain_series(self) -> None:
        enhanced = series("1.2", description="CT HEAD + C")
        assert choose_series(enhanced).chosen == "1.2"
        assert choose_series(enhanced).refusals == (Refusal.CONTRAST,)

    def test_every_readable_series_is_ranked_once(self) -> None:
        ranked = rank_series([*series("1.1"), *series("1.2", kernel="BONE"), *series("1.3", count=20)])
        assert [choice.chosen for choice in ranked] == ["1.1", "1.3", "1.2"]

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(st.floats(-1e5, 1e5), st.floats(-1, 1), st.floats(0.0, 100)), min_size=10, max_size=20
        )
    )
    def test_any_geometry_gives_a_choice(self, drawn: list[tuple[float, float, float]]) -> None:
        headers = [
            replace(
                header,
                position=(height, 0.0, height),
                orientation=(1.0, 0, 0, 0, lean, lean),
                thickness_mm=thick,
            )
            for header, (height, lean, thick) in zip(series(count=len(drawn)), drawn, strict=True)
        ]
        for choice in rank_series(headers):
            assert choice.reason
            if choice.headers:
                stack = sort_stack(choice.headers)
                assert missing_slices(stack) >= 0
                assert np.isfinite(affine_lps(stack)).all()
                assert all(note.text for note in geometry_notes(stack))

    @given(st.lists(st.sampled_from(["1", "2", "3"]), min_size=0, max_size=40))
    def test_every_slice_is_in_one_stack(self, acquisitions: list[str]) -> None:
        headers = [
            replace(header, acquisition_number=number)
            for header, number in zip(series(count=len(acquisitions)), acquisitions, strict=True)
        ]
        stacks = split_stacks(headers)
        assert sum(len(stack.headers) for stack in stacks) == len(headers)


class TestContrastWords:
    @pytest.mark.parametrize(
        "description",
        [
            "CT Plain THIN", "CT 55mm Plain", "CT PRE CONTRAST 5MM STD", "PRE-CONTRAST BRAIN",
            "HEAD W/O", "W/O CONTRAST", "Brain without contrast", "NON CONTRAST", "NON-CONTRAST HEAD",
            "NONCONTRAST", "NECT", "NCCT HEAD", "C- 5mm", "HEAD WITHOUT IV CONTRAST", "no contrast",
            "HEAD 5MM", "2.5/5mm", "Neuro^HeadSeq", "BRAIN NC", "unenhanced", "Head wo", "PRECONTRAST",
            "Routine Brain (Adult)", "non enhanced", "WITHOUT CONTRAST ENHANCEMENT", "",
        ],
    )  # fmt: skip
    def test_plain_is_plain(self, description: str) -> None:
        assert contrast_words(split_stacks(series(description=description))[0]) == ""

    @pytest.mark.parametrize(
        "description",
        [
            "CT HEAD WITH CONTRAST", "POST CONTRAST 5MM", "CECT BRAIN", "CTA HEAD", "Angio Carotid",
            "HEAD C+", "HEAD + C", "4cc sec 150cc D3D on", "3.5 ml/s", "Perfusion 4D", "VENOUS PHASE",
            "W/C", "IV CONTRAST", "postcontrast", "PRE AND POST CONTRAST", "CE brain", "Omnipaque 350",
            "W/O + W CONTRAST",
        ],
    )  # fmt: skip
    def test_contrast_is_seen(self, description: str) -> None:
        assert contrast_words(split_stacks(series(description=description))[0])

    @pytest.mark.parametrize(
        "agent", ["NONE", "None", "NO", "N/A", "0", "PLAIN", "without", "W/O", "NO CONTRAST"]
    )
    def test_an_agent_that_is_none_is_none(self, agent: str) -> None:
        assert contrast_words(split_stacks(series(contrast_agent=agent))[0]) == ""


class TestKernel:
    @pytest.mark.parametrize(
        "kernel", ["BONE", "BONEPLUS", "H70h", "Hr68f", "FC81", "FC30", "YB", "EDGE", "B70f", "U70u"]
    )
    def test_bone(self, kernel: str) -> None:
        assert is_bone_kernel(series(kernel=kernel)[0])

    @pytest.mark.parametrize(
        "kernel", ["STANDARD", "STD+", "UB", "H31s", "Hr40f", "FC21", "FC64", "J30s", "SOFT", "B30f"]
    )
    def test_soft(self, kernel: str) -> None:
        assert not is_bone_kernel(series(kernel=kernel)[0])

    def test_an_unknown_kernel_is_judged_by_the_description(self) -> None:
        assert is_bone_kernel(series(kernel="X9", description="Head BONE 2mm")[0])
        assert not is_bone_kernel(series(kernel="X9", description="Head 2mm")[0])
