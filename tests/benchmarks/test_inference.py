"""The arithmetic of the inference benchmark, and a runtime that is not there."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference import off_by, row, times_faster
from benchmarks.runtimes import Took, open_runtime, random_network, study
from model.weights import SHIPPED

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
        line = row("openvino-fp32", 32, TOOK, 41.0, 300.4, 1000.0)
        assert line["ms"] == 205.0
        assert line["GFLOP/s"] == pytest.approx(200.0)
        assert line["peak MB"] == 300
        assert line["% of peak"] == pytest.approx(41.0)  # of the fastest round, 410 GFLOP/s

    def test_on_a_gpu_eager_there_is_the_measure(self) -> None:
        took = {"torch-cuda": TOOK["torch"], "torch-cuda-bf16": TOOK["openvino-fp32"]}
        assert times_faster(took, "torch-cuda-bf16") == 4.0


def test_a_missing_runtime_is_named() -> None:
    with pytest.raises(ImportError, match="peerless is not installed"):
        open_runtime("peerless-fp32", SHIPPED, 1)


# torch's own, on the way to its compiler
@pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning")
def test_without_a_compiler_the_compiled_runtime_says_so(tmp_path: Path) -> None:
    from torch._inductor import config

    absent = {"cpp.cxx": (str(tmp_path / "absent"),), "force_disable_caches": True}
    with config.patch(absent), pytest.raises(RuntimeError, match="compiler"):
        open_runtime("torch-compile", SHIPPED, 1)


def test_a_gpu_that_is_not_there_is_named() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="no GPU"):
        open_runtime("torch-cuda", SHIPPED, 1)


def test_an_untrained_network_of_a_width_runs_as_a_package_does(tmp_path: Path) -> None:
    model = random_network("small", tmp_path)
    hu, z = study(model, 3)
    assert hu.shape == (3, 256, 256)
    graph, torch_ = (open_runtime(kind, model, 1).run(hu, z).study for kind in ("openvino-fp32", "torch"))
    assert np.abs(graph - torch_).max() < 1e-3
