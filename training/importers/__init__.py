"""Public and hospital data sets as training cases, one module a layout."""
