"""Where a backend is not installed: what needs none runs, and the rest says what to install."""

import os
import subprocess
import sys

import pytest

WITHOUT = """
import sys
for name in {missing}:
    sys.modules[name] = None
{statement}
"""
STATEMENTS = {
    "layers": "from moments_dnns.layers import Convolution",
    "characterize": "from moments_dnns import characterize",
    "a run": "import moments_dnns; moments_dnns.run_experiment('vanilla', 2, 1, 4, 4, 1, dataset='photo')",
    "downloaded images": "import moments_dnns; moments_dnns.run_experiment('vanilla', 2, 1, 4, 4, 1, dataset='mnist')",
}
BACKENDS = ("jax", "tensorflow", "torch")


def without(missing, statement, **environment):
    """Return the last line of the error of a statement where some backends are not installed."""
    kept = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    code = WITHOUT.format(missing=missing, statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**kept, **environment}
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


@pytest.mark.parametrize("statement", STATEMENTS)
def test_where_no_backend_is_installed_it_is_said_what_to_install(statement, tmp_path):
    said = without(BACKENDS, STATEMENTS[statement], KERAS_HOME=str(tmp_path))
    assert said == (
        "ModuleNotFoundError: Keras needs its backend: pip install 'moments_dnns[tensorflow]'. Received: "
        "KERAS_BACKEND=None"
    )


def test_an_installed_backend_is_offered_and_keras_own_choice_is_heeded(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    said = without(["tensorflow", "torch"], STATEMENTS["layers"], KERAS_HOME=str(tmp_path))
    assert "pip install 'moments_dnns[torch]', or set KERAS_BACKEND=jax, which is installed." in said
    assert "moments_dnns[tensorflow]" in without(["tensorflow"], STATEMENTS["layers"], KERAS_BACKEND="tensorflow")
    assert without(["torch"], "import moments_dnns.layers; print()", KERAS_BACKEND="jax") == ""


def test_what_needs_no_backend_runs_without_one():
    code = "from moments_dnns import list_experiments, plot_bn_ff, theory; list_experiments(); theory.infinite_width"
    assert without(BACKENDS, code) == ""
