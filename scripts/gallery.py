"""The pictures of docs/gallery.md, made by its own code, and what they show.

python -m scripts.gallery                # all of them: a minute
python -m scripts.gallery theory sweep   # some of them
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from moments_dnns import Experiment, list_experiments, load_experiment

from .results_page import sizes

PAGE = Path(__file__).parents[1] / "docs" / "gallery.md"

DOTS_PER_INCH = 150  # twice what a page shows

ENTRY = re.compile(
    r"(?P<entry>```python\n(?P<code>.*?)```\n\n!\[[^\]]+\]\(images/(?P<name>\w+)\.png\)\n)(\n\*[^*\n]+\*\n)?", re.DOTALL
)


def entries() -> Iterator[tuple[str, str]]:
    """Yield the name and the code of every picture of the page."""
    for entry in ENTRY.finditer(PAGE.read_text()):
        yield entry["name"], entry["code"]


def caption(code: str) -> str:
    """Return the caption of an entry: the sizes and the images of the experiments that its code names, if any."""
    there = list_experiments()
    saved = [name for name in re.findall(r'"(\w+)"', code) if name in there]
    # The measurement of a model has no width, no batch and no depth.
    experiments = [moments for moments in map(load_experiment, saved) if isinstance(moments.experiment, Experiment)]
    return f"\n*{sizes(experiments)}*\n" if experiments else ""


def captioned(page: str) -> str:
    """Return the text of the page with the captions that its experiments ask for."""
    return ENTRY.sub(lambda match: match["entry"] + caption(match["code"]), page)


def draw(code: str) -> Any:
    """Return the figure that the code of an entry makes."""
    scope: dict[str, Any] = {}
    exec(compile(code, PAGE.name, "exec"), scope)
    return scope["figure"]


def main(names: Collection[str]) -> int:
    """Make the pictures of the page, or those with some names, and return the exit code."""
    for name, code in entries():
        if not names or name in names:
            path = PAGE.parent / "images" / f"{name}.png"
            draw(code).savefig(path, dpi=DOTS_PER_INCH)
            print(path.relative_to(PAGE.parents[1]))
    PAGE.write_text(captioned(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
