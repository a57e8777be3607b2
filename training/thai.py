"""The report's page in Thai: text nodes of the English page, exchanged one for one by `thai.toml`.

What has no translation stays in English, so that a figure is never lost; names of studies stay as they are.
"""

import re
import tomllib
from pathlib import Path

TEXT = Path(__file__).with_name("thai.toml")


def translate(page: str) -> str:
    """The page in Thai."""
    text = tomllib.loads(TEXT.read_text(encoding="utf-8"))
    patterns = [(re.compile(row["english"]), row["thai"]) for row in text["patterns"]]

    def exchange(found: re.Match[str]) -> str:
        node = found.group(1)
        if node in text["phrases"]:
            return str(text["phrases"][node])
        for pattern, words in patterns:
            if pattern.fullmatch(node):
                return str(pattern.sub(words, node))
        return node

    thai = re.sub(r"(?<=>)([^<>]+)(?=</?\w)", exchange, page)
    return thai.replace('<html lang="en">', '<html lang="th">', 1)
