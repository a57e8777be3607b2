"""The processes of one run, as `torchrun` starts them, and the device of each."""

import os
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Rank:
    """This process among those of the run."""

    number: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.number == 0

    def share(self, module: Module) -> Module:
        """Average the module's gradients over the processes; unchanged where there is one process."""
        if self.count == 1:
            return module
        # heads over slices rest in stage 1, the encoder may rest in stage 2
        return DistributedDataParallel(module, find_unused_parameters=True)  # type: ignore[return-value]

    def agree(self, number: float) -> float:
        """The first process's number."""
        if self.count == 1:
            return number
        shared = torch.tensor(number, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()

    def close(self) -> None:
        """Leave the other processes."""
        if self.count > 1:
            distributed.destroy_process_group()


def join(device: str) -> Rank:
    """Join the processes that `torchrun` started, or be the only one.

    Raises:
        ValueError: cuda is asked for and torch finds none.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise ValueError("device 'cuda' is asked for, but torch finds none")
    cuda = cuda and device != "cpu"
    count = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(place)
    if count > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if cuda else "gloo")
    return Rank(int(os.environ.get("RANK", "0")), count, place)
