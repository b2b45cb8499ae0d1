"""The readme of a package index: that of the checkout, with links that lead somewhere there.

An index shows the readme far from the files beside it. With a `Source` in `[project.urls]` of pyproject.toml, relative
links become links to that address; without one, pictures are left out and links become plain text.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)]+)\)")
LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\((?!https?:|#)([^)]+)\)")


def readme(text: str, source: str | None) -> str:
    """Return the readme with absolute links, or without relative ones where no address is known."""
    if source is None:
        text = re.sub(r"\[(!\[[^\]]*\]\([^)]+\))\]\([^)]+\)", r"\1", text)  # pictures that are links
        return LINK.sub(r"\1", PICTURE.sub("", text))
    address = source.rstrip("/")
    return LINK.sub(
        rf"[\1]({address}/blob/HEAD/\2)",
        PICTURE.sub(lambda picture: picture[0].replace(picture[1], f"{address}/raw/HEAD/{picture[1]}"), text),
    )


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    setup(
        long_description=readme((ROOT / "README.md").read_text(), project.get("urls", {}).get("Source")),
        long_description_content_type="text/markdown",
    )
