"""A tiny untrained model package for tests."""

from pathlib import Path

import numpy as np
import torch

from model.calibration import TypeCalibration
from model.network import NetworkShape, StrokeNet
from model.stroke import StrokeType
from model.weights import GoldenStudy, Usual, save_golden, save_network, save_parts, seal

SHAPE = NetworkShape(preset="tiny", side=64, grid_mm=3.5, embedding=16)


def make_network(seed: int = 3) -> StrokeNet:
    """The random network of the package, before its weights are rounded."""
    torch.manual_seed(seed)
    return StrokeNet(SHAPE).eval()


def make_package(path: Path, *, name: str = "tiny-0.0.1", seed: int = 3) -> None:
    """Write and seal a package of a random network; any_ich and iph are assessed."""
    net = make_network(seed)
    save_network(path, net)
    save_parts(
        path,
        metadata={
            "name": name,
            "stroke_types": list(StrokeType),
            "network": {"preset": "tiny", "side": 64, "grid_mm": 3.5, "embedding": 16},
        },
        calibrations={
            kind: TypeCalibration(kind in ("any_ich", "iph"), 1.0, 0.6, 0.3, 10, 10) for kind in StrokeType
        },
        usual=Usual(np.zeros(16), np.eye(16), 1000.0),
        report={},
        card="# tiny",
    )
    hu = np.random.default_rng(0).normal(30, 20, (4, 64, 64)).round().astype(np.float32)
    z = np.full((4, 2), 0.5, np.float32)
    with torch.inference_mode():
        logits = net(torch.from_numpy(hu)[None], torch.from_numpy(z)[None])[0][0]
    save_golden(path, [GoldenStudy("noise", hu, z, tuple(float(v) for v in logits))])
    seal(path)
