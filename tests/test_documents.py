"""The documents say what the code does: tables, links, commands and examples."""

import inspect
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from moments_dnns import ARCHITECTURES, Architecture, Experiment, Step, run_experiment
from moments_dnns.descriptions.parameters import first_sentence, parameters_of
from moments_dnns.descriptions.steps import KINDS
from moments_dnns.execution.options import RunOptions
from moments_dnns.moments import MOMENTS
from moments_dnns.plots.figures import FIGURES

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text()


def option_table():
    """Return the table of options as the code has it."""
    fields = parameters_of(Experiment, RunOptions)
    rows = ["| parameter | default | meaning |", "|---|---|---|"]
    for name, parameter in inspect.signature(run_experiment).parameters.items():
        default = "required" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        meaning = first_sentence(fields[name].metadata["meaning"])
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(rows)


def test_options_of_the_readme_are_those_of_the_code():
    shown = re.search("<!-- options -->\n(.*)\n<!-- /options -->", README, re.DOTALL)
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
def test_the_readme_names_what_there_is(name):
    assert f"`{name}" in README


def test_the_readme_gives_every_architecture_its_places():
    for name, row in ARCHITECTURES.items():
        line = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
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


@pytest.mark.parametrize("example", examples_of("README.md"), ids=lambda code: code[:30])
def test_examples_of_the_readme_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})


@pytest.mark.parametrize("example", examples_of("docs/models.md"), ids=lambda code: code[-30:])
def test_examples_of_the_guide_to_models_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A smaller network of the same kind, and fewer of its layers.
    smaller = example.replace("input_shape=(32, 32, 3)", "input_shape=(32, 32, 3), alpha=0.25")
    exec(compile(smaller.replace("num_realizations=3", 'layers="*_relu"'), "models.md", "exec"), {})


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
