"""The network's shapes, and what its windows and neighbours mean."""

import pytest
import torch

from model.network import MASKS, STROKE_TYPES, NetworkShape, StrokeNet, to_channels
from model.stroke import StrokeType

TINY = NetworkShape(preset="tiny", side=64, grid_mm=3.5, embedding=16)


@pytest.fixture(scope="module")
def net() -> StrokeNet:
    torch.manual_seed(0)
    return StrokeNet(TINY).eval()


@pytest.mark.parametrize("num_slices", [2, 7, 33])
def test_outputs_have_one_row_per_slice(net: StrokeNet, num_slices: int) -> None:
    with torch.inference_mode():
        study, slices, attention, masks, embedding = net(
            torch.zeros(1, num_slices, 64, 64), torch.zeros(1, num_slices, 2)
        )
    types = len(StrokeType)
    assert study.shape == (1, types)
    assert slices.shape == attention.shape == (1, num_slices, types)
    assert masks.shape == (1, num_slices, len(MASKS), 32, 32)
    assert embedding.shape == (1, 16)
    assert torch.allclose(attention.sum(dim=1), torch.ones(1, types))


def test_types_keep_the_order_of_the_words() -> None:
    assert tuple(StrokeType) == STROKE_TYPES
    assert STROKE_TYPES[: len(MASKS)] == MASKS
    assert StrokeType.MASS_EFFECT not in MASKS


def test_values_outside_the_eight_bit_window_say_nothing_more() -> None:
    hu = torch.tensor([[[-1000.0, -20.0, 35.0, 100.0, 1500.0]]])
    clipped = hu.clamp(-20, 100)
    assert torch.equal(to_channels(hu, hu, hu), to_channels(clipped, clipped, clipped))


def test_a_slice_sees_its_two_neighbours_in_the_encoder(net: StrokeNet) -> None:
    hu = torch.full((1, 5, 64, 64), 30.0)
    changed = hu.clone()
    changed[0, 4] = 70.0
    with torch.inference_mode():
        before = net(hu, torch.zeros(1, 5, 2))[3][0]
        after = net(changed, torch.zeros(1, 5, 2))[3][0]
    same = [bool(torch.allclose(before[k], after[k], atol=1e-5)) for k in range(5)]
    assert same == [True, True, True, False, False]


def test_volume_counts_confident_pixels_in_millilitres(net: StrokeNet) -> None:
    masks = torch.full((2, len(MASKS), 32, 32), -20.0)
    masks[0, 0, :4, :5] = 20.0
    z = torch.tensor([[0.0, 0.5], [0.05, 0.5]])  # 5 mm
    volumes = net.volumes_ml(masks, z)
    assert float(volumes[0]) == pytest.approx(20 * 7.0**2 * 5 / 1000, rel=1e-3)
    assert float(volumes[1:].abs().max()) == pytest.approx(0.0, abs=1e-6)


def test_a_shape_that_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="preset 'huge'"):
        NetworkShape(preset="huge")
    with pytest.raises(ValueError, match="side 100"):
        NetworkShape(side=100)
