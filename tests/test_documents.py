"""The documents say what the code does: tables, links, commands and examples."""

import inspect
import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from moments_dnns import ARCHITECTURES, Architecture, Experiment, Step, __version__, load_experiment, run_experiment
from moments_dnns.descriptions.parameters import first_sentence, parameters_of
from moments_dnns.descriptions.steps import KINDS
from moments_dnns.execution.options import RunOptions
from moments_dnns.moments import MOMENTS
from moments_dnns.plots.figures import FIGURES
from scripts import gallery

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text()
OPTIONS = (ROOT / "docs" / "options.md").read_text()
START = (ROOT / "docs" / "start.md").read_text()
# Where the names of things are explained.
PAGES = README + OPTIONS + START + (ROOT / "docs" / "figures.md").read_text()


def option_table():
    """Return the table of options as the code has it."""
    fields = parameters_of(Experiment, RunOptions)
    rows = ["| parameter | default | meaning |", "|---|---|---|"]
    for name, parameter in inspect.signature(run_experiment).parameters.items():
        default = "required" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        meaning = first_sentence(fields[name].metadata["meaning"])
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(rows)


def test_options_of_the_page_are_those_of_the_code():
    shown = re.search("<!-- options -->\n(.*)\n<!-- /options -->", OPTIONS, re.DOTALL)
    assert shown[1] == option_table(), f"expected\n{option_table()}"


@pytest.mark.parametrize(
    "name",
    [
        *ARCHITECTURES,
        *MOMENTS,
        *(f"plot_{name}" for name in FIGURES),
        "load_experiment",
        "save_experiment",
        "prune_experiment",
        "merge_experiments",
        "list_experiments",
        "delete_experiment",
    ],
)
def test_the_pages_name_what_there_is(name):
    assert f"`{name}" in PAGES


def test_the_first_page_gives_every_architecture_its_places():
    for name, row in ARCHITECTURES.items():
        line = next(line for line in START.splitlines() if line.startswith(f"| `{name}` |"))
        assert line.endswith(f"| `{row.places[0]}` to `{row.places[-1]}` |")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#]+)", document.read_text())
    missing = [target for target in targets if "://" not in target and not (document.parent / unquote(target)).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_targets_that_are_named_exist(document):
    text = document.read_text()
    for target in re.findall(r"make (\w+) ", text):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, target
    for file in re.findall(r"`((?:moments_dnns|tests|docs)/[\w/]+\.\w+)`|python (\w+\.py)", text):
        assert (ROOT / "".join(file)).is_file(), file


def examples_of(document):
    return re.findall("```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


@pytest.mark.parametrize("example", examples_of("docs/start.md"), ids=lambda code: code[:30])
def test_examples_of_the_first_page_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "start.md", "exec"), {})


def test_the_example_of_the_readme_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,), (said,) = examples_of("README.md"), re.findall("```text\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    printed, numbers = capsys.readouterr().out, r"\d+\.\d+"
    # Words to the letter, numbers but for the last digits of float32, which differ from backend to backend.
    assert re.sub(numbers, "0", printed) == re.sub(numbers, "0", said)
    of_both = ([float(number) for number in re.findall(numbers, text)] for text in (printed, said))
    np.testing.assert_allclose(*of_both, rtol=0.02)


def test_the_readme_is_one_screen_with_one_picture_and_two_commands():
    before = README.partition("## More")[0]
    assert len(README.splitlines()) <= 80
    assert len(re.findall(r"!\[[^\]]*\]\(docs/", README)) == 1
    assert re.findall("^make (\\w+)", before, re.MULTILINE) == ["demo", "test"]
    for page in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{page.name})" in README or page.stem in {"index", "changelog", "contributing"}, page.name


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_badges_and_citation_say_the_truth():
    badges = {
        name: unquote(value).replace("_", " ") for name, value in re.findall(r"badge/(\w+)-([^-]+)-\w+\)", README)
    }
    (keras,) = (each for each in PROJECT["dependencies"] if each.startswith("keras"))
    lowest, above = (int(minor) for minor in re.findall(r"3\.(\d+)", keras))
    assert badges == {
        "python": PROJECT["requires-python"].removeprefix(">=") + "+",
        "keras": " | ".join(f"3.{minor}" for minor in range(lowest, above)),
        "backends": " | ".join(
            name for name in PROJECT["optional-dependencies"] if name in {"tensorflow", "jax", "torch"}
        ),
        "license": PROJECT["license"],
    }
    citation = dict(re.findall(r"^(\w+): (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["title"] == PROJECT["name"]


def test_the_gallery_has_a_picture_after_every_piece_of_code(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(ROOT / "npy"))
    pieces = list(gallery.entries())
    assert len(pieces) == len(examples_of("docs/gallery.md"))
    for name, _ in pieces:
        assert (ROOT / "docs" / "images" / f"{name}.png").stat().st_size > 10_000, name
    assert gallery.PAGE.read_text() == gallery.captioned(gallery.PAGE.read_text())
    assert f"{load_experiment('figure_4').num_realizations} realizations on" in README
    # The others are drawn by `python -m scripts.replay`, which takes a minute.
    figure = gallery.draw(dict(pieces)["summary"])
    figure.savefig(tmp_path / "figure.png", dpi=40)


@pytest.mark.parametrize("example", examples_of("docs/models.md"), ids=lambda code: code[-30:])
def test_examples_of_the_guide_to_models_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A smaller network of the same kind, and fewer of its layers.
    smaller = example.replace("input_shape=(32, 32, 3)", "input_shape=(32, 32, 3), alpha=0.25")
    exec(compile(smaller.replace("num_realizations=3", 'layers="*_relu"'), "models.md", "exec"), {})


@pytest.mark.parametrize("example", examples_of("docs/diagnosis.md"), ids=lambda code: code[:30])
def test_examples_of_the_page_on_diagnosis_run(example, monkeypatch):
    monkeypatch.setenv("MOMENTS_DNNS_NPY", str(ROOT / "npy"))
    exec(compile(example, "diagnosis.md", "exec"), {})


def test_the_guide_to_architectures_runs_and_names_all_steps(tmp_path, monkeypatch, capsys):
    guide = (ROOT / "docs" / "architectures.md").read_text()
    assert {
        name for row in re.findall(r"^\| (`.*?) \|", guide, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    } == {*KINDS}
    for expression in re.findall(r"^\| `(Architecture\(.*?\))` \|", guide, re.MULTILINE):
        assert isinstance(eval(expression, {"Architecture": Architecture, "Step": Step}), Architecture)
    monkeypatch.chdir(tmp_path)
    exec(compile("".join(re.findall("```python\n(.*?)```", guide, re.DOTALL)), "architectures.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "sigma_w^2 = 1.2: the noise dies",
        "sigma_w^2 = 2.5: the noise grows",
    ]
    assert (tmp_path / "figures" / "my_unit.png").exists()
