"""Whether verdicts at initialisation agree with training: networks of many kinds, diagnosed and then trained.

Run it as `python -m benchmarks.trainability runs.jsonl` from the root of the checkout: about half an hour on two cores.
What is in the file is not run again. `--write` puts the results into docs/diagnosis.md.

A network trains if it can learn a few images by heart. So that this measures the network, and not the scale of its
output or a learning rate, its features are divided by their root mean square at initialisation, the last layer begins
at zero, and the best of five learning rates counts, each with a warm-up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moments_dnns import _cli
from moments_dnns._validation import refusal
from moments_dnns.data import load_images

from .common import WriteSwitch, write

PAGE = Path(__file__).parents[1] / "docs" / "diagnosis.md"
IMAGE = PAGE.parent / "images" / "trainability.png"
NUM_IMAGES = 256
REALIZATIONS = 4
MEASURED = ("log_mu2_noise", "log_mu2_signal", "log_nu2_signal", "log_mu4_signal", "reff_signal")


def task(path: Path | None) -> Any:
    """Return images of a `.npz` file of `images` and `labels`; without one, noisy copies of crops of a photograph."""
    from .networks import SIDE
    from .training import NUM_CLASSES, Task

    if path is None:
        rng = np.random.default_rng(0)
        crops = load_images("photo").images[: 2 * NUM_CLASSES]  # two of each class
        chosen = rng.integers(len(crops), size=NUM_IMAGES)
        images, labels = crops[chosen] + rng.normal(0, 40, (NUM_IMAGES, *crops.shape[1:])), chosen % NUM_CLASSES
    else:
        with np.load(path, allow_pickle=False) as loaded:
            if not {"images", "labels"} <= set(loaded.files):
                raise ValueError(refusal("expected a file of the arrays images and labels.", images=str(path)))
            images, labels = loaded["images"][:NUM_IMAGES], loaded["labels"][:NUM_IMAGES]
    grey = images.astype(np.float64).reshape(*images.shape[:3], -1).mean(axis=-1)
    step = grey.shape[1] // SIDE
    pixels = grey[:, : step * SIDE, : step * SIDE].reshape(len(grey), SIDE, step, SIDE, step).mean(axis=(2, 4))
    pixels = pixels.reshape(len(pixels), -1)
    pixels = (pixels - pixels.mean(axis=0)) / np.maximum(pixels.std(axis=0), 1e-6)
    return Task(pixels.astype(np.float32), np.asarray(labels, np.int32).ravel())


def moments_of(network: Any, images: np.ndarray) -> dict[str, Any]:
    """Return the moments behind every unit of a network at initialisation, as JSON holds them."""
    from moments_dnns.characterization.run import characterize

    from .networks import keras_model

    moments = characterize(
        keras_model(network),
        images[: network.batch],
        num_realizations=REALIZATIONS,
        layers="unit*",
        ranks="*",
        compute_reff_noise=False,
        verbose=False,
    )
    arrays = {name: moments[name].round(3) for name in MEASURED}
    return {"layer": moments["layer"].tolist(), **{name: plain(array) for name, array in arrays.items()}}


def plain(array: np.ndarray) -> list[list[float | None]]:
    """Return an array as JSON holds it, with None for numbers that are not finite."""
    return [[float(number) if np.isfinite(number) else None for number in row] for row in array]


def run(networks: Sequence[Any], path: Path, images: Path | None) -> None:
    """Diagnose and train the networks that are not in a file yet, and add them to it."""
    import keras

    from . import training
    from .agreement import LEARNED, best_loss

    done = {row["name"] for row in rows(path)}
    given = task(images)
    for network in networks:
        if network.name in done:
            continue
        keras.utils.clear_session()
        reached = training.losses(network, given)
        if best_loss(reached) >= LEARNED:
            reached = training.losses(network, given, training.MORE_STEPS)
        row = {
            "name": network.name,
            "losses": plain(reached.round(4)),
            "moments": moments_of(network, given.images),
        }
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{network.name}: {best_loss(reached):.2f}", flush=True)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return what a file holds."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def trainability(
    path: Path, /, *, images: Path | None = None, quick: _cli.Switch = False, write_results: WriteSwitch = False
) -> None:
    """Diagnose networks at initialisation, train them, and compare.

    Args:
        path: File of the results in JSON lines; what it holds is not run again.
        images: A .npz file of images and labels; noisy copies of crops of a photograph by default.
        quick: Every third network only.
        write_results: Put the results into docs/diagnosis.md and draw the figure.
    """
    from . import agreement, networks

    run(networks.NETWORKS[::3] if quick else networks.NETWORKS, path, images)
    found = agreement.outcomes(rows(path), [network.name for network in networks.NETWORKS])
    text = "\n\n".join(agreement.summary(found))
    print(text)
    if write_results:
        write("trainability", text, PAGE)
        agreement.draw(found).savefig(IMAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line and return the exit code."""
    return _cli.call(_cli.application("trainability", trainability), argv)


if __name__ == "__main__":
    sys.exit(main())
