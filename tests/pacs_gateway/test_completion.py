import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from pacs_gateway.completion import (
    QUIET_CAP_SECONDS,
    QUIET_FLOOR_SECONDS,
    QUIET_UNKNOWN_SECONDS,
    Completion,
    CompletionCode,
    Waiting,
    covered_head,
    even_gap,
    gap_bucket,
    judge,
    learned_quiet,
)
from pacs_gateway.headers import InstanceHeader


def header(
    number: int, *, spacing: float = 5.0, tilt: float = 0.0, modality: str = "CT", series: str = "1"
) -> InstanceHeader:
    angle = math.radians(tilt)
    return InstanceHeader(
        sop_class_uid="1", sop_instance_uid=f"{series}.{number}", study_instance_uid="1", series_instance_uid=series,
        transfer_syntax_uid=ExplicitVRLittleEndian, modality=modality, image_type=(), rows=512, columns=512,
        number_of_frames=1, series_number=1, acquisition_number=1, instance_number=number,
        position=(-120.0, -120.0, number * spacing / math.cos(angle)),
        orientation=(1.0, 0.0, 0.0, 0.0, math.cos(angle), math.sin(angle)), slice_thickness=spacing,
    )  # fmt: skip


def verdict(slices: list[InstanceHeader], **options: float) -> Completion | Waiting:
    given_ = {
        "open_associations": 0,
        "associations": 1,
        "seconds_quiet": 0.0,
        "quiet_seconds": 10.0,
        **options,
    }
    return judge(slices, **given_)  # type: ignore[arg-type]


HEAD = [header(number) for number in range(30)]


class TestJudge:
    def test_a_covered_head_is_complete_at_once(self) -> None:
        judged = verdict(HEAD)
        assert isinstance(judged, Completion)
        assert judged.code == CompletionCode.HEAD_COVERED
        assert "150 mm" in judged.text

    @pytest.mark.parametrize("tilt", [-25.0, 15.0, 18.5])
    def test_gantry_tilt_changes_nothing(self, tilt: float) -> None:
        assert isinstance(verdict([header(number, tilt=tilt) for number in range(30)]), Completion)

    def test_it_waits_for_the_association_to_end(self) -> None:
        assert verdict(HEAD, open_associations=1) == Waiting(10.0)

    def test_a_gap_is_waited_on(self) -> None:
        assert isinstance(verdict(HEAD[:12] + HEAD[13:]), Waiting)

    def test_half_a_head_is_waited_on(self) -> None:
        assert isinstance(verdict(HEAD[:15]), Waiting)

    def test_one_image_an_association_is_known_by_quiet_alone(self) -> None:
        assert isinstance(verdict(HEAD, associations=30), Waiting)

    @pytest.mark.parametrize("slices", [HEAD[:1], [header(n, modality="MR") for n in range(30)], []])
    def test_anything_else_completes_by_quiet_time(self, slices: list[InstanceHeader]) -> None:
        assert verdict(slices, seconds_quiet=4.0) == Waiting(6.0)
        judged = verdict(slices, seconds_quiet=10.0, open_associations=1)
        assert isinstance(judged, Completion)
        assert judged.code == CompletionCode.QUIET

    @given(st.permutations(range(30)), st.integers(1, 29))
    def test_order_does_not_matter_and_a_part_is_never_more_complete(
        self, order: list[int], kept: int
    ) -> None:
        assert isinstance(verdict([HEAD[number] for number in order]), Completion)
        part = [HEAD[number] for number in order[:kept]]
        if covered_head(part):
            heights = sorted(order[:kept])
            assert (
                heights == list(range(heights[0], heights[-1] + 1))
                or len(set(map(int.__sub__, heights[1:], heights))) == 1
            )

    @given(st.lists(st.floats(-1e6, 1e6), max_size=40), st.floats(0, 100), st.integers(0, 3))
    def test_always_complete_after_the_quiet_time(
        self, heights: list[float], seconds: float, still_open: int
    ) -> None:
        slices = [header(number, spacing=height) for number, height in enumerate(heights)]
        judged = verdict(slices, seconds_quiet=seconds, open_associations=still_open)
        assert isinstance(judged, Completion) or (seconds < 10 and judged.seconds > 0)


class TestEvenGap:
    def test_rounded_positions_are_even(self) -> None:
        assert even_gap([n * 4.8 + 0.3 * (n % 2) for n in range(30)]) == pytest.approx(4.8, abs=0.4)

    def test_too_few_or_uneven_are_not(self) -> None:
        assert even_gap([0.0, 5.0, 10.0]) is None
        assert even_gap([float(n * n) for n in range(20)]) is None


class TestLearnedQuiet:
    def test_an_unknown_sender_gets_the_default(self) -> None:
        assert learned_quiet({}) == QUIET_UNKNOWN_SECONDS

    def test_a_fast_sender_gets_the_floor_and_a_slow_one_the_cap(self) -> None:
        fast, slow = gap_bucket(0.02), gap_bucket(50.0)
        assert fast is not None
        assert slow is not None
        assert learned_quiet({fast: 1000}) == QUIET_FLOOR_SECONDS
        assert learned_quiet({fast: 1000, slow: 100}) == QUIET_CAP_SECONDS

    def test_a_rare_pause_is_not_believed(self) -> None:
        fast, slow = gap_bucket(0.02), gap_bucket(50.0)
        assert fast is not None
        assert slow is not None
        assert learned_quiet({fast: 1000, slow: 5}) == QUIET_FLOOR_SECONDS

    @given(st.dictionaries(st.integers(0, 24), st.integers(1, 10_000)))
    def test_stays_between_floor_and_cap(self, histogram: dict[int, int]) -> None:
        assert QUIET_FLOOR_SECONDS <= learned_quiet(histogram) <= QUIET_CAP_SECONDS

    @given(st.floats(0, QUIET_CAP_SECONDS))
    def test_a_bucket_covers_its_gap(self, seconds: float) -> None:
        bucket = gap_bucket(seconds)
        assert bucket is not None
        assert 0.05 * 2 ** (bucket / 2) >= seconds * 0.999

    def test_a_gap_beyond_the_cap_teaches_nothing(self) -> None:
        assert gap_bucket(QUIET_CAP_SECONDS + 1) is None
