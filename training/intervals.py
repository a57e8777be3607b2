"""How sure a figure is; the figures are `labeling.intervals`, which the hub's own gates use too."""

from labeling.intervals import Z95, Figure, Paired, auroc, paired_auroc, proportion

__all__ = ["Z95", "Figure", "Paired", "auroc", "paired_auroc", "proportion"]
