"""Cells that a spreadsheet program opens without running them."""


def harmless(value: object) -> object:
    """The value as it is, or behind an apostrophe where a spreadsheet would take it for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
