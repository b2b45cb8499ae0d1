"""The door to figures: its command line and the functions that it gives."""

import pytest

import plots
from moments_dnns.plots import experiments as plotting
from moments_dnns.plots.figures import FIGURES
from moments_dnns.plots.models import plot_layers
from tests.support.published import arrays


@pytest.fixture
def saved(monkeypatch, tmp_path):
    """An experiment named demo, in a working directory of its own."""

    def load_experiment(name):
        if name not in ("demo", "again"):
            raise FileNotFoundError(f"no experiment. Received: name={name!r}")
        return arrays("bn_ff")

    monkeypatch.setattr(plots, "load_experiment", load_experiment)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["bn_ff", "demo"], "figures/demo_bn_ff.png"),
        (["bn-ff", "demo"], "figures/demo_bn_ff.png"),
        (["bn_ff", "demo", "--path", "new/x.pdf"], "new/x.pdf"),
        (["--path=x.svg", "bn_ff", "demo"], "x.svg"),
        (["bn_ff", "demo", "again"], "figures/demo_again_bn_ff.png"),
        (["summary", "demo"], "figures/demo_summary.png"),
    ],
)
def test_command_line_draws(saved, capsys, arguments, path):
    assert plots.main(arguments) == 0
    assert (saved / path).stat().st_size > 1000
    assert capsys.readouterr().out == f"{path}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bn_ff"], "name"),
        (["bn_f", "demo"], "invalid choice: 'bn_f'"),
        (["bn_ff", "demo", "--pathh", "x.png"], "--pathh"),
        (["bn_ff", "demo", "--pat", "x.png"], "--pat"),
        (["bn_ff", "other"], "no experiment. Received: name='other'"),
        (["bn_res", "demo"], "bn_res draws"),
        (["bn_ff", "demo", "--path", "x.doc"], "path must end in"),
        (["summary", "demo", "again"], "expected moments named"),
    ],
)
def test_command_line_stops(saved, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        plots.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert list(saved.iterdir()) == []


def test_help_explains_every_parameter(capsys):
    with pytest.raises(SystemExit):
        plots.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "type_plot",
        *FIGURES,
        "architecture",
        "summary",
        "name",
        "--path",
        "--use_tex",
        ".pdf, .png or .svg",
        "default: figures/NAME_TYPE_PLOT.png",
    ):
        assert words in text
    assert "SUPPRESS" not in text


def test_door_gives_the_functions():
    assert [getattr(plots, name) for name in plots.__all__ if name != "main"] == [
        plotting.plot_architecture,
        plotting.plot_bn_ff,
        plotting.plot_bn_res,
        plot_layers,
        plotting.plot_summary,
        plotting.plot_vanilla,
        plotting.plot_vanilla_histo,
    ]
