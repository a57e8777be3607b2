"""What runs the network's graph: OpenVINO by default, ONNX Runtime or torch where it is missing."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
GPU = Path("/dev/nvidia0")
"""Looked at instead of asking torch, whose import takes seconds and 200 MB."""

EngineName = Literal["auto", "openvino", "onnxruntime", "torch"]

OUTPUT_NAMES = ("study", "slice", "attention", "mask", "embedding")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network says of one study: S slices, K stroke types, M masks, E embedding."""

    study: FloatArray
    """(K,) logits."""
    slices: FloatArray
    """(S, K) logits."""
    attention: FloatArray
    """(S, K), sums to 1 over the slices."""
    masks: FloatArray
    """(S, M, h, w) logits at half the grid."""
    embedding: FloatArray
    """(E,)."""


class Engine(Protocol):
    """Runs hu (S, H, W) in HU and z (S, 2) through the network."""

    name: str

    def run(self, hu: FloatArray, z: FloatArray) -> Outputs:
        """Outputs of one study."""
        ...


class OpenVinoEngine:
    """OpenVINO on the processor; imports neither torch nor MONAI."""

    def __init__(self, onnx: Path, *, threads: int, bf16: bool) -> None:
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        compiled = core.compile_model(core.read_model(onnx), "CPU", settings)
        # the hint is only a wish: processors without bf16 go on in fp32
        used = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        self.name = "openvino-bf16" if "bfloat16" in used else "openvino-fp32"
        self._request = compiled.create_infer_request()

    def run(self, hu: FloatArray, z: FloatArray) -> Outputs:
        """Outputs of one study."""
        result = self._request.infer({"hu": hu[None], "z": z[None]})
        return _outputs(lambda name: np.array(result[name]))


class OnnxRuntimeEngine:
    """ONNX Runtime on the processor."""

    name = "onnxruntime"

    def __init__(self, onnx: Path, *, threads: int) -> None:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = runtime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])

    def run(self, hu: FloatArray, z: FloatArray) -> Outputs:
        """Outputs of one study."""
        values = self._session.run(list(OUTPUT_NAMES), {"hu": hu[None], "z": z[None]})
        named = dict(zip(OUTPUT_NAMES, values, strict=True))
        return _outputs(named.__getitem__)


class TorchEngine:
    """The weights in torch, on the GPU where torch finds one: the reference, and the way to a GPU."""

    def __init__(self, folder: Path, *, threads: int, bf16: bool = False) -> None:
        torch: Any = importlib.import_module("torch")
        from model.weights import load_network

        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self.name = "torch" if self._device == "cpu" else f"torch-{self._device}"
        self._torch, self._net = torch, load_network(folder).to(self._device)
        self._bf16 = bf16

    def compile(self) -> None:
        """Have torch compile the network, once for every number of slices."""
        self._net = self._torch.compile(self._net, dynamic=False)

    def run(self, hu: FloatArray, z: FloatArray) -> Outputs:
        """Outputs of one study."""
        torch = self._torch
        with torch.inference_mode(), torch.autocast(self._device, torch.bfloat16, enabled=self._bf16):
            values = self._net(*(torch.from_numpy(each[None]).to(self._device) for each in (hu, z)))
        named = dict(zip(OUTPUT_NAMES, values, strict=True))
        return _outputs(lambda name: named[name].float().cpu().numpy())


def _outputs(value: Callable[[str], FloatArray]) -> Outputs:
    study, slices, attention, masks, embedding = (value(name)[0] for name in OUTPUT_NAMES)
    return Outputs(study, slices, attention, masks, embedding)


def is_installed(name: str) -> bool:
    """Whether a runtime can be imported; looks without importing it."""
    return importlib.util.find_spec(name) is not None


def open_engine(kind: str, folder: Path, onnx: Path, threads: int) -> Engine:
    """Start one engine: openvino-bf16, openvino-fp32, onnxruntime or torch."""
    if kind.startswith("openvino"):
        return OpenVinoEngine(onnx, threads=threads, bf16=kind.endswith("bf16"))
    if kind == "onnxruntime":
        return OnnxRuntimeEngine(onnx, threads=threads)
    return TorchEngine(folder, threads=threads)


def candidates(engine: EngineName) -> list[str]:
    """Engines to try, best first: torch on a machine with an NVIDIA device, else OpenVINO."""
    best = ["torch", "openvino", "onnxruntime"] if GPU.exists() else ["openvino", "onnxruntime", "torch"]
    found = [name for name in (best if engine == "auto" else [engine]) if is_installed(name)]
    kinds = []
    for name in found:
        kinds += ["openvino-bf16", "openvino-fp32"] if name == "openvino" else [name]
    return kinds
