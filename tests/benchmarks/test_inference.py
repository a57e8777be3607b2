"""The arithmetic of the inference benchmark, and a runtime that is not there."""

import pytest

from benchmarks.inference import Took, off_by, open_runtime, row, times_faster
from model.weights import SHIPPED, load_artefact

TOOK = {
    "torch": [Took(400.0, (0.0, 2.0)), Took(1000.0, (0.0, 2.0)), Took(410.0, (0.0, 2.0))],
    "openvino-fp32": [Took(100.0, (0.0, 2.0)), Took(250.0, (0.0, 2.0)), Took(205.0, (4.0, 2.0))],
}


class TestFigures:
    def test_rounds_are_compared_within_themselves(self) -> None:
        assert times_faster(TOOK, "openvino-fp32") == 4.0
        assert times_faster(TOOK, "torch") == 1.0

    def test_difference_is_of_probabilities(self) -> None:
        assert off_by(TOOK, "torch") == 0.0
        assert off_by(TOOK, "openvino-fp32") == pytest.approx(0.4820, abs=1e-4)

    def test_a_row_says_how_much_is_done_in_a_second(self) -> None:
        line = row("openvino-fp32", 32, TOOK, 41.0, 300.4)
        assert line["ms"] == 205.0
        assert line["GFLOP/s"] == pytest.approx(200.0)
        assert line["peak MB"] == 300


def test_a_missing_runtime_is_named() -> None:
    with pytest.raises(ImportError, match="peerless is not installed"):
        open_runtime("peerless-fp32", load_artefact(SHIPPED), 1)
