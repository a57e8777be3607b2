"""The running mean of a network's weights: what is shipped."""

import copy

import torch
from torch import Tensor

from model.network import StrokeNet


class RunningMean:
    """Keeps a copy of a network that follows it slowly.

    It forgets its random start: the decay grows to its value with the number of steps. torch's AveragedModel
    keeps its count on the device and waits for it at every step.
    """

    def __init__(self, net: StrokeNet, decay: float) -> None:
        self.decay, self.count = decay, 0
        self.mean = copy.deepcopy(net).eval()
        for parameter in self.mean.parameters():
            parameter.requires_grad_(False)
        pairs = list(zip(self.mean.state_dict().values(), net.state_dict().values(), strict=True))
        self._floats = [pair for pair in pairs if pair[0].is_floating_point()]
        self._others = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network as it is now."""
        share = 1 - min(self.decay, (1 + self.count) / (10 + self.count))
        means, news = [mean for mean, _ in self._floats], [new for _, new in self._floats]
        torch._foreach_lerp_(means, news, share)
        for mean, new in self._others:
            mean.copy_(new)
        self.count += 1

    def state(self) -> dict[str, Tensor | int]:
        """For a checkpoint."""
        return {"count": self.count, **self.mean.state_dict()}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """From a checkpoint."""
        self.count = int(state["count"])
        self.mean.load_state_dict({name: value for name, value in state.items() if name != "count"})
