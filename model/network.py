"""The network: a 2-D encoder per slice, masks, and small heads over the slices of a study.

Letters in shape comments: B studies, S slices, H W pixels, K stroke types, M masks, E embedding, C channels.
The windows are part of the graph. All lie inside [-20, 100] HU, so that 8-bit slices of that window
say the same to the network as Hounsfield units do.
"""

from dataclasses import dataclass

import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn
from torch.nn import functional

from model.stroke import StrokeType

STROKE_TYPES: tuple[StrokeType, ...] = tuple(StrokeType)
MASKS: tuple[StrokeType, ...] = STROKE_TYPES[:9]
"""Every stroke type that occupies pixels, in the order of the mask channels; mass effect does not."""

WIDTHS: dict[str, tuple[int, int, int, int]] = {
    "tiny": (8, 16, 24, 32),
    "small": (16, 32, 64, 128),
    "half": (32, 64, 128, 256),
    "full": (64, 128, 256, 512),
}
WINDOWS: tuple[tuple[float, float], ...] = ((-20.0, 100.0), (0.0, 80.0), (15.0, 55.0), (40.0, 90.0))
"""(lowest, highest) HU: wide, brain, stroke, blood. Brain windows of the slices below and above follow."""
MASK_STRIDE = 2
NEARBY_PIXELS = (6, 30)
"""How many of the most suspect mask pixels speak for a slice: a small lesion, a larger one."""


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """What must be equal for weights to fit."""

    preset: str = "small"
    """Width of the encoder, a key of WIDTHS."""
    side: int = 160
    """Pixels per side of a slice."""
    grid_mm: float = 1.4
    """Millimetres per pixel."""
    embedding: int = 64
    """Length of a slice's embedding."""

    def __post_init__(self) -> None:
        if self.preset not in WIDTHS:
            raise ValueError(f"preset {self.preset!r} is not one of {', '.join(WIDTHS)}")
        if self.side % 16:
            raise ValueError(f"side {self.side} is not a multiple of 16")


def to_channels(below: Tensor, hu: Tensor, above: Tensor) -> Tensor:
    """Window slices and their neighbours, each of shape (N, H, W) HU, into (N, 6, H, W) of 0..1."""
    brain_low, brain_high = WINDOWS[1]
    planes = [_window(hu, low, high) for low, high in WINDOWS]
    planes += [_window(below, brain_low, brain_high), _window(above, brain_low, brain_high)]
    return torch.stack(planes, dim=1)


def _window(hu: Tensor, low: float, high: float) -> Tensor:
    return torch.clamp((hu - low) / (high - low), 0.0, 1.0)


class SliceEncoder(nn.Module):
    """ResNet over one slice at strides 2 to 16, and a feature pyramid that draws masks at stride 2."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        widths = WIDTHS[shape.preset]
        pyramid = max(16, 2 * widths[0])
        self.body = ResNet(
            "basic",
            [2, 2, 2, 2],
            list(widths),
            spatial_dims=2,
            n_input_channels=len(WINDOWS) + 2,
            conv1_t_stride=MASK_STRIDE,
            no_max_pool=True,
            shortcut_type="B",
            feed_forward=False,
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in widths)
        self.smooth = nn.Sequential(
            nn.Conv2d(pyramid, pyramid, 3, padding=1), nn.BatchNorm2d(pyramid), nn.ReLU(inplace=True)
        )
        self.draw = nn.Conv2d(pyramid, len(MASKS), 1)
        self.embed = nn.Linear(2 * widths[-1], shape.embedding)
        with torch.no_grad():
            self.draw.bias.fill_(-4.0)  # type: ignore[union-attr]  # lesions are rare: start from nothing

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (N, 6, H, W) into embeddings (N, E) and mask logits (N, M, H/2, W/2)."""
        body = self.body
        level = functional.relu(body.bn1(body.conv1(channels)))
        levels = []
        for layer in (body.layer1, body.layer2, body.layer3, body.layer4):
            level = layer(level)
            levels.append(level)
        top = self.laterals[3](levels[3])
        for lateral, level in zip(reversed(self.laterals[:3]), reversed(levels[:3]), strict=True):
            top = lateral(level) + functional.interpolate(top, scale_factor=2.0, mode="nearest")
        masks = self.draw(self.smooth(top))
        deep = levels[3]
        pooled = torch.cat([deep.mean(dim=(2, 3)), deep.amax(dim=(2, 3))], dim=1)
        return self.embed(pooled), masks


class NeighbourBlock(nn.Module):
    """A dilated convolution over slices; it starts as the identity, so that stage 2 goes on from stage 1."""

    def __init__(self, size: int, dilation: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(size, size, 5, padding=2 * dilation, dilation=dilation)
        self.norm = nn.LayerNorm(size)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.norm(self.mix(x).transpose(1, 2)).transpose(1, 2)  # (B, E, S), normed per slice
        return x + functional.gelu(mixed)


class StrokeNet(nn.Module):
    """From Hounsfield units of one study to logits per study and slice, masks, and an embedding."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        size, types = shape.embedding, len(STROKE_TYPES)
        self.encoder = SliceEncoder(shape)
        self.place = nn.Linear(2, size)
        self.neighbours = nn.ModuleList(NeighbourBlock(size, dilation) for dilation in (1, 2, 4))
        self.slice_head = nn.Linear(size, types)
        self.slice_evidence = nn.Linear(len(NEARBY_PIXELS) * len(MASKS), types)
        self.attend = nn.Linear(size, types)
        self.study_head = nn.Linear(2 * size, types)
        self.study_evidence = nn.Parameter(torch.tensor([[0.5], [0.3], [0.3], [0.0]]).repeat(1, types))
        self._prefer_own_mask()

    def _prefer_own_mask(self) -> None:
        """Start the slice logit of a type from its own mask alone."""
        with torch.no_grad():
            self.slice_evidence.weight.zero_()
            for index in range(len(MASKS)):
                for group in range(len(NEARBY_PIXELS)):
                    self.slice_evidence.weight[index, group * len(MASKS) + index] = 0.5
            self.slice_head.weight.mul_(0.1)
            self.study_head.weight.mul_(0.1)

    def read_slices(self, embedding: Tensor, masks: Tensor) -> Tensor:
        """Slice logits (N, K) from embeddings (N, E) and mask logits (N, M, h, w)."""
        suspects = masks.flatten(2).topk(max(NEARBY_PIXELS), dim=2).values  # (N, M, 30), descending
        evidence = torch.cat([suspects[:, :, :count].mean(dim=2) for count in NEARBY_PIXELS], dim=1)
        logits: Tensor = self.slice_head(functional.gelu(embedding)) + self.slice_evidence(evidence)
        return logits

    def read_study(self, hidden: Tensor, slices: Tensor, masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Study logits (K) and attention (S, K) from one study's hidden (S, E), slice logits, masks."""
        attention = torch.softmax(self.attend(hidden), dim=0)
        attended = (attention * slices).sum(dim=0)
        # one slice alone must not speak for a study: the mean over three neighbours does
        padded = torch.cat([slices[:1], slices, slices[-1:]], dim=0)
        smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3.0
        volume = functional.pad(self.volumes_ml(masks, z), (0, 1))
        pooled = torch.cat([hidden.mean(dim=0), hidden.amax(dim=0)], dim=0)
        parts = torch.stack([smooth.amax(dim=0), attended, torch.log1p(5.0 * volume), slices.amax(dim=0)])
        study = (self.study_evidence * parts).sum(dim=0) + self.study_head(functional.gelu(pooled))
        return study, attention

    def volumes_ml(self, masks: Tensor, z: Tensor) -> Tensor:
        """Suspected volume per mask (M) in mL, from mask logits (S, M, h, w) and z (S, 2)."""
        confident = torch.clamp((torch.sigmoid(masks) - 0.3) / 0.7, min=0.0)
        pixel_mm2 = (MASK_STRIDE * self.shape.grid_mm) ** 2
        areas = confident.sum(dim=(2, 3)) * pixel_mm2  # (S, M) in mm2
        return (areas * z[:, 1:2] * 10.0).sum(dim=0) / 1000.0

    def forward(self, hu: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Read one study: hu (1, S, H, W) and z (1, S, 2).

        Returns:
            study (1, K), slice (1, S, K) logits, attention (1, S, K), mask logits (1, S, M, H/2, W/2),
            embedding (1, E).
        """
        hu, z = hu[0], z[0]
        below = torch.cat([hu[:1], hu[:-1]], dim=0)
        above = torch.cat([hu[1:], hu[-1:]], dim=0)
        embedding, masks = self.encoder(to_channels(below, hu, above))
        study, slices, attention = self.read(embedding, masks, z)
        return study[None], slices[None], attention[None], masks[None], embedding.mean(dim=0)[None]

    def read(self, embedding: Tensor, masks: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All heads for one study: study (K), slice (S, K), attention (S, K)."""
        hidden = (embedding + self.place(z)).T[None]  # (1, E, S)
        for block in self.neighbours:
            hidden = block(hidden)
        hidden = hidden[0].T
        slices = self.read_slices(hidden, masks)
        study, attention = self.read_study(hidden, slices, masks, z)
        return study, slices, attention
