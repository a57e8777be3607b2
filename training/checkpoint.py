"""What a run leaves on disk: checkpoints that it goes on from, and weights that others read."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from model.network import NetworkShape, StrokeNet
from model.weights import load_network


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    torch.save(state, new)
    new.replace(path)


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """Read a checkpoint; None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    return state


def save_weights(path: Path, net: StrokeNet) -> None:
    """Write weights alone, kernels and matrices in fp16, with the network's shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if value.ndim > 1 and value.is_floating_point() else value).cpu().contiguous()
        for name, value in net.state_dict().items()
    }
    save_file(tensors, path, {"network": json.dumps(asdict(net.shape))})


def load_weights(path: Path) -> StrokeNet:
    """Read a package, or what `save_weights` wrote, on the processor, ready to read studies."""
    if path.is_dir():
        return load_network(path)
    with safe_open(path, framework="pt") as file:
        net = StrokeNet(NetworkShape(**json.loads(file.metadata()["network"])))
        net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return net.eval()
