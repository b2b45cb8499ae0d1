"""What a new user tries: all that the documents show, run in a clean clone of what is committed.

python -m scripts.replay                    # in the environment of this process: an hour on two cores
python -m scripts.replay --fresh            # with `make`, in an environment that it makes, and the whole test suite
python -m scripts.replay pages notebooks    # some parts: help, shell, pages, notebooks

Each line is one thing that was tried. The exit code is 1 if one of them failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))

# Runs the blocks of a page one after the other, as in one session. One that needs a library that is not installed, such
# as that of a cluster, is only compiled.
SESSION = """
import re, sys
from pathlib import Path
page = Path(sys.argv[1])
scope = {"__name__": "__main__"}
for number, block in enumerate(re.findall(r"```python\\n(.*?)```", page.read_text(), re.DOTALL), start=1):
    code = compile(block, f"{page.name}, block {number}", "exec")
    try:
        exec(code, scope)
    except ModuleNotFoundError as error:
        print(f"block {number} needs {error.name}")
"""


class Trial(NamedTuple):
    """One thing that a user tries.

    Args:
        name: What it is.
        command: The command, run in the clone.
    """

    name: str
    command: Sequence[str]


def help_of_all() -> Iterator[Trial]:
    """Yield `--help` of every command and script."""
    from moments_dnns.commands import COMMANDS

    yield Trial("moments-dnns --help", [sys.executable, "-m", "moments_dnns", "--help"])
    for name in COMMANDS:
        yield Trial(f"moments-dnns {name} --help", [sys.executable, "-m", "moments_dnns", name, "--help"])
    for script in ("run_experiment.py", "plots.py", "manage_experiments.py"):
        yield Trial(f"{script} --help", [sys.executable, script, "--help"])
    for module in ("scripts.demo", "scripts.results"):
        yield Trial(f"{module} --help", [sys.executable, "-m", module, "--help"])


def shell() -> Iterator[Trial]:
    """Yield the blocks of shell of all pages; what an example leaves open, by `...`, is left out."""
    for page in PAGES:
        for number, block in enumerate(re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL), start=1):
            lines = [line for line in block.splitlines() if not line.startswith(("source ", "make "))]
            if any(lines) and " ... " not in block:
                yield Trial(f"{page}, shell {number}", ["bash", "-euc", "\n".join(lines)])


def made() -> Iterator[Trial]:
    """Yield the commands of the README."""
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        yield Trial(f"make {target}", ["make", target])


def pages() -> Iterator[Trial]:
    """Yield the blocks of Python of every page that has any."""
    for page in PAGES:
        if "```python" in (ROOT / page).read_text():
            yield Trial(f"{page}, Python", [sys.executable, "-c", SESSION, page])
    yield Trial("the pictures of the gallery", [sys.executable, "-m", "scripts.gallery"])


def notebooks() -> Iterator[Trial]:
    """Yield the notebooks at their full size, on the results that ship."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        options = ["--execute", "--ExecutePreprocessor.timeout=3600", "--output-dir", "executed"]
        yield Trial(
            path.stem, [sys.executable, "-m", "nbconvert", "--to", "notebook", *options, f"notebooks/{path.name}"]
        )


PARTS: dict[str, Callable[[], Iterator[Trial]]] = {
    "help": help_of_all,
    "shell": shell,
    "pages": pages,
    "notebooks": notebooks,
}


def run(trial: Trial, clone: Path, environment: dict[str, str]) -> bool:
    """Run a trial, print a line, and the end of what it printed if it failed; return whether it succeeded."""
    start = time.monotonic()
    done = subprocess.run(
        trial.command,
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    needs = "".join(f" ({line})" for line in done.stdout.splitlines() if re.match(r"block \d+ needs ", line))
    print(
        f"{'ok' if not done.returncode else 'FAILED':7}{time.monotonic() - start:6.0f} s  {trial.name}{needs}",
        flush=True,
    )
    if done.returncode:
        print(done.stdout[-3000:], flush=True)
    return not done.returncode


def main(arguments: Sequence[str]) -> int:
    """Try everything, or the parts that are named, and return the exit code."""
    fresh, names = "--fresh" in arguments, [word for word in arguments if word != "--fresh"]
    if unknown := set(names) - set(PARTS):
        print(f"expected {', '.join(PARTS)} or --fresh. Received: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "moments_dnns"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone), "MPLBACKEND": "Agg"}
        bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        succeeded = [run(trial, clone, bare) for trial in (made() if fresh else ())]
        for name in names or PARTS:
            succeeded += [run(trial, clone, environment) for trial in PARTS[name]()]
    return int(not all(succeeded))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
