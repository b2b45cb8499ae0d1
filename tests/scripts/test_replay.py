"""The script that replays the documents: what it tries, and what it makes of what fails."""

import subprocess
import sys

import pytest

from moments_dnns.commands import COMMANDS
from scripts import replay


def test_every_command_every_page_and_every_notebook_is_tried():
    names = {part: [trial.name for trial in trials()] for part, trials in replay.PARTS.items()}
    assert {f"moments-dnns {name} --help" for name in COMMANDS} <= set(names["help"])
    pages = [page for page in replay.PAGES if "```python" in (replay.ROOT / page).read_text()]
    assert len(pages) >= 8
    assert {f"{page}, Python" for page in pages} <= set(names["pages"])
    assert len(names["notebooks"]) == len(list((replay.ROOT / "notebooks").glob("*.ipynb")))
    assert names["shell"] == [
        "docs/start.md, shell 2"
    ]  # the others are `make`, which --fresh runs, or leave parts open
    assert [trial.command for trial in replay.made()] == [["make", "demo"], ["make", "test"]]


PAGE = "```python\nx = 1\n```\n```python\nimport no_such_cluster\n```\n```python\n{}\n```\n"


@pytest.mark.parametrize(("last", "succeeds"), [("assert x == 1", True), ("x / 0", False)])
def test_blocks_of_a_page_are_one_session(tmp_path, capsys, last, succeeds):
    (tmp_path / "page.md").write_text(PAGE.format(last))
    trial = replay.Trial("page", [sys.executable, "-c", replay.SESSION, "page.md"])
    assert replay.run(trial, tmp_path, {}) is succeeds
    said = capsys.readouterr().out
    assert said.startswith("ok " if succeeds else "FAILED ")
    assert "page (block 2 needs no_such_cluster)" in said
    assert ("ZeroDivisionError" in said) is not succeeds


def test_the_exit_code_tells_and_the_clone_is_of_what_is_committed(monkeypatch, capsys):
    def in_the_clone():
        yield replay.Trial("is a clone", ["git", "rev-parse", "--verify", "HEAD"])

    monkeypatch.setattr(
        replay, "PARTS", {"good": in_the_clone, "bad": lambda: iter([replay.Trial("fails", ["false"])])}
    )
    if subprocess.run(["git", "rev-parse"], cwd=replay.ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a git checkout")
    assert replay.main(["good"]) == 0
    assert replay.main(["good", "bad"]) == 1
    assert replay.main(["worse"]) == 2
    assert "expected good, bad or --fresh. Received: worse" in capsys.readouterr().err
