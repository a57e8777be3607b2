"""The network as files: weights once, in fp16, and a graph that points into them.

`weights.safetensors` keeps kernels and matrices as fp16 and the rest (biases, norms) as fp32. Such a file
is its tensors one after another, so `model.onnx` holds no weights of its own: each initialiser is external
data at an offset of that file, cast to fp32 in the graph. OpenVINO and ONNX Runtime read it as it is.
"""

import json
import struct
import warnings
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.engine import OUTPUT_NAMES
from model.network import NetworkShape, StrokeNet

WEIGHTS, GRAPH = "weights.safetensors", "model.onnx"
OPSET = 20
FP32_SUFFIX = ".fp32"


def round_weights(net: StrokeNet) -> None:
    """Round kernels and matrices of a network to fp16, in place, so that it says what its files will say."""
    with torch.no_grad():
        for value in net.state_dict().values():
            if _is_half(value):
                value.copy_(value.half())


def save_weights(path: Path, net: StrokeNet) -> None:
    """Write the weights, and the network's shape with them."""
    tensors = {
        name: (value.half() if _is_half(value) else value).cpu().contiguous()
        for name, value in net.state_dict().items()
    }
    save_file(tensors, path, {"network": json.dumps(asdict(net.shape))})


def read_weights(path: Path, shape: NetworkShape) -> StrokeNet:
    """A network of that shape with the weights of a file, ready to read studies."""
    net = StrokeNet(shape)
    net.load_state_dict(load_file(path))
    return net.eval()


def save_network(folder: Path, net: StrokeNet) -> None:
    """Round a network to fp16, in place, and write its weights and its graph into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    net.eval()
    round_weights(net)
    save_weights(folder / WEIGHTS, net)
    graph = onnx.load_from_string(_plain_graph(net.shape))
    _point_into(graph, folder / WEIGHTS)
    (folder / GRAPH).write_bytes(graph.SerializeToString())


def export_program(net: StrokeNet, path: Path) -> None:
    """Write the network as a torch.export program (model.pt2) for three slices and more."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        program = torch.export.export(net.eval(), _example(net), dynamic_shapes=_free_slices(least=3))
    torch.export.save(program, path)


@cache
def _plain_graph(shape: NetworkShape) -> bytes:
    """The graph of every network of a shape: it holds none of their weights, and takes 20 s to export."""
    with torch.random.fork_rng(devices=[]):
        net = StrokeNet(shape).eval()
    with TemporaryDirectory() as folder:
        plain = Path(folder) / GRAPH
        _export(net).save(plain, external_data=False)
        return plain.read_bytes()


def _export(net: StrokeNet) -> Any:
    with warnings.catch_warnings():
        # torch's exporter warns of its own deprecated calls, and that hu and z share the name of an axis
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*axis name: slices.*", category=UserWarning)
        program = torch.onnx.export(
            net,
            _example(net),
            dynamo=True,
            opset_version=OPSET,
            input_names=["hu", "z"],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes=_free_slices(),
            verbose=False,
            # the optimiser folds norms into kernels, and those would be in no file of weights
            optimize=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, which name the folders of the machine
    return program


def _point_into(model: Any, weights: Path) -> None:
    """Make every initialiser of a graph external data in a file of weights."""
    places = tensor_places(weights)
    cast: dict[str, str] = {}
    initialisers, nodes = [], []
    for old in model.graph.initializer:
        dtype, offset, length = places[old.name]
        half = dtype == "F16"
        new = onnx.TensorProto(
            name=old.name,
            data_type=onnx.TensorProto.FLOAT16 if half else old.data_type,
            dims=old.dims,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        for key, value in (("location", weights.name), ("offset", str(offset)), ("length", str(length))):
            entry = new.external_data.add()
            entry.key, entry.value = key, value
        initialisers.append(new)
        if half:
            cast[old.name] = old.name + FP32_SUFFIX
            nodes.append(
                onnx.helper.make_node("Cast", [old.name], [cast[old.name]], to=onnx.TensorProto.FLOAT)
            )
    for node in model.graph.node:
        node.input[:] = [cast.get(name, name) for name in node.input]
        nodes.append(node)
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(initialisers)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def tensor_places(path: Path) -> dict[str, tuple[str, int, int]]:
    """Of each tensor of a safetensors file: its dtype, where it starts, how many bytes it has."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: (
            entry["dtype"],
            8 + length + entry["data_offsets"][0],
            entry["data_offsets"][1] - entry["data_offsets"][0],
        )
        for name, entry in header.items()
    }


def _is_half(value: Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1


def _example(net: StrokeNet) -> tuple[Tensor, Tensor]:
    side = net.shape.side
    return torch.zeros(1, 7, side, side), torch.zeros(1, 7, 2)


def _free_slices(least: int = 2) -> dict[str, dict[int, Any]]:
    slices = torch.export.Dim("slices", min=least, max=512)
    return {"hu": {1: slices}, "z": {1: slices}}
