"""How the learning rate goes, and how many steps a stage has: as told, or as many as fit into its time."""

import math
from dataclasses import dataclass

PROBED = (10, 40)
"""The speed is taken from the steps between these two; the first ones are slow."""


@dataclass(slots=True)
class Schedule:
    """Warm-up, then cosine to a hundredth."""

    peak: float
    num_steps: int
    """Where `seconds` is above 0, known once the speed has been measured; until then what the recipe says."""
    warm_up: float
    seconds: float = 0.0
    measured: bool = False

    @property
    def probing(self) -> bool:
        """Whether the number of steps is yet to be found."""
        return self.seconds > 0 and not self.measured

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm = max(1.0, PROBED[1] if self.seconds else self.warm_up * self.num_steps)
        rising = min(1.0, (step + 1) / warm)
        done = 0.0 if self.probing else min(1.0, step / self.num_steps)
        return self.peak * (rising * 0.5 * (1 + math.cos(math.pi * done)) + 0.01)

    def fit(self, step: int, elapsed: float, per_step: float) -> None:
        """Set the number of steps to what fits into the time that is left."""
        self.num_steps = step + max(1, int((self.seconds - elapsed) / per_step))
        self.measured = True
