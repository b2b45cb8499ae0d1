"""The least memory that a realization takes, known before anything is drawn."""

from __future__ import annotations

from moments_dnns._resources import available_memory, size
from moments_dnns._validation import refusal
from moments_dnns.descriptions.experiment import Experiment

LARGEST_MACHINE = 2**44  # bytes: where a machine is not known, what is larger than this fits on none


def least_memory(experiment: Experiment, image_shape: tuple[int, ...]) -> int:
    """Return a lower bound of the bytes of one realization: signal and noise of a layer, a kernel, and all seeds.

    Args:
        experiment: The description.
        image_shape: (height, width, channels) of the images.

    Example:

    >>> least_memory(Experiment("vanilla", 2, 3, 512, 64, 1, num_computations=1), (32, 32, 3))
    76546064
    """
    height, width = (experiment.layer_side(side) for side in image_shape[:2])
    layer = experiment.batch_size * height * width * experiment.num_channels
    # A fully connected layer may be drawn without its kernel.
    kernel = 0 if experiment.fully_connected else (experiment.kernel_size * experiment.num_channels) ** 2
    return 4 * (2 * layer + kernel) + 8 * (experiment.total_depth * experiment.kernels_per_layer)


def check_network(experiment: Experiment, image_shape: tuple[int, ...], *, elsewhere: bool) -> None:
    """Refuse a network of which no realization fits in memory.

    Args:
        experiment: The description.
        image_shape: (height, width, channels) of the images.
        elsewhere: Whether it is computed with other memory than this machine's: on accelerators or by an executor.

    Raises:
        MemoryError: If it cannot fit.
    """
    least, available = least_memory(experiment, image_shape), None if elsewhere else available_memory()
    if least > (limit := available or LARGEST_MACHINE):
        raise MemoryError(
            refusal(
                f"a realization takes at least {size(least)} of memory, more than {size(limit)}: expected "
                "fewer channels or layers, or a smaller batch.",
                num_channels=experiment.num_channels,
                batch_size=experiment.batch_size,
                kernel_size=experiment.kernel_size,
                total_depth=experiment.total_depth,
            )
        )
