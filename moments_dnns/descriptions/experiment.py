"""Experiment: the frozen, checked description of random networks, from which their results follow."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np

from moments_dnns._validation import boolean, non_negative, one_of, optional, require, text, whole
from moments_dnns.moments import MOMENTS

from .architecture import ARCHITECTURES, Architecture, checked_architecture
from .base import Description
from .boundaries import BOUNDARIES
from .choices import GAIN, PRECISIONS, STATISTICS, WEIGHTS, check_gain
from .keras_objects import specified
from .parameters import documented, parameter

NAMES = ", ".join(f'`"{name}"`' for name in ARCHITECTURES)

MOST_COMPUTATIONS = 100  # by default, as in the paper


@documented()
@attrs.frozen
class Experiment(Description):
    """The description of an experiment with random networks: everything that decides its numbers.

    {parameters}

    Raises:
        TypeError, ValueError: If a value is refused; the message says what was expected.

    Example:

    >>> experiment = Experiment("bn_ff", 200, 3, 512, 64, 1000)
    >>> experiment.spacing, experiment.depth[:3].tolist(), experiment.array_names[:2]
    (2, [2, 4, 6], ('nu1_abs_signal_loc1', 'nu2_signal_loc1'))

    Reference: section 6 and appendix of arXiv 1811.03087 for the settings.
    """

    kind: ClassVar[str] = "experiment"
    columns: ClassVar[str] = "depth"
    shown: ClassVar[tuple[str, ...]] = (
        "architecture", "total_depth", "kernel_size", "num_channels", "batch_size", "boundary", "dataset"
    )  # fmt: skip

    architecture: str | Architecture = parameter(  # noqa: RUF009
        checked_architecture,
        group="network",
        meaning=f"The layers of the network: {NAMES}, or in Python an `Architecture`.",
    )
    total_depth: int = parameter(
        whole(1), group="network", meaning="Number of layers; of residual units for a residual architecture."
    )
    kernel_size: int = parameter(
        whole(1), group="network", meaning="Side of the square kernels, in pixels; 1 makes the network fully connected."
    )
    num_channels: int = parameter(whole(1), group="network", meaning="Width of every layer, in channels.")
    batch_size: int = parameter(
        whole(1), group="data", meaning="Images per realization, at most as many as the dataset has."
    )
    num_realizations: int = parameter(
        whole(1), group="data", meaning="Number of random networks, each with its own images and noise."
    )
    boundary: str = parameter(
        one_of(BOUNDARIES),
        "periodic",
        group="network",
        meaning='What convolutions read beyond the border: `"periodic"` (the opposite border), `"symmetric"` (the '
        'mirror image, odd kernels only), `"zero_padding"`, or `"periodic_one_sided"` (the opposite border, by kernels '
        "that read a pixel and those above and to the left of it). Kernels that are not centred displace residual "
        "branches against their skip connections.",
    )
    dataset: str = parameter(
        text,
        "cifar10",
        group="data",
        meaning='Images: `"cifar10"`, `"mnist"`, `"photo"` (needs no download), or a path to an array in `.npy` or '
        "`.npz`. Its shape is (number, height, width, channels) or (number, height, width). `run_experiment` also "
        "takes the array itself, which `Experiment` records by a label.",
    )
    epsilon: float = parameter(
        non_negative, 1e-3, group="network", meaning="Constant added to the variances in normalizations."
    )
    res_depth: int = parameter(
        whole(1),
        2,
        group="network",
        meaning='How often a residual unit repeats its steps: for `"bn_res"`, the number of its convolutions.',
    )
    num_computations: int = parameter(
        optional(whole(1)),
        None,
        group="numbers",
        meaning="Number of depths at which moments are taken; divides `total_depth`. `None` stands for the largest "
        "such number up to 100.",
    )
    seed: int = parameter(
        whole(0),
        0,
        group="numbers",
        meaning="The only source of randomness. The numbers of a realization do not depend on `num_realizations`.",
    )
    compute_reff_signal: bool = parameter(
        boolean, True, group="numbers", meaning="Whether to take effective ranks of the signal."
    )
    compute_reff_noise: bool = parameter(
        boolean, True, group="numbers", meaning="Whether to take effective ranks of the noise."
    )
    weights: str = parameter(
        one_of(WEIGHTS),
        "auto",
        group="numbers",
        meaning='How fully connected layers are drawn: `"explicit"`, their weights; `"gram"`, their outputs given '
        'their inputs, which have the same law and are faster for wide layers; `"auto"`, the faster one.',
    )
    precision: str = parameter(
        one_of(PRECISIONS),
        "float32",
        group="numbers",
        meaning='Of matrix products and convolutions: `"float32"` keeps all digits; with `"tf32"` NVIDIA\'s tensor '
        "cores round their factors to 10 bits, which is several times faster. On other devices both are the same.",
    )
    activation: str = parameter(
        specified("activation"),
        "relu",
        group="network",
        meaning="Name of a Keras activation, or in Python an activation layer of `keras.layers` or a function of one "
        "tensor on `keras.ops`. Workers can only import functions that are written in a module. `Experiment` holds "
        "a layer or a function as text.",
    )
    gain: float = parameter(
        non_negative,
        GAIN,
        group="network",
        meaning="Variance of the weights times fan_in, sigma_w**2; 2 is He's. The first convolution, which brings the "
        "images to `num_channels`, keeps 1.",
    )
    kernel_initializer: str = parameter(
        specified("kernel_initializer"),
        "gaussian",
        group="network",
        meaning='`"gaussian"`, or the name, or in Python an instance, of a Keras initializer, which has a gain of its '
        "own. It is drawn afresh from the seed of the realization; the first convolution stays Gaussian.",
    )
    bias_variance: float = parameter(
        non_negative,
        0.0,
        group="network",
        meaning="Variance of the biases, sigma_b**2, of all but the first convolution.",
    )
    statistics: str = parameter(
        one_of(STATISTICS),
        "constant",
        group="network",
        meaning='Mean and variance in batch normalization are, for the noise, `"constant"`, as in the paper, or '
        '`"differentiated"`, which is the exact derivative.',
    )

    def __attrs_post_init__(self) -> None:
        if self.num_computations is None:
            # The only way to set a field of a frozen class, whose value follows from others.
            object.__setattr__(self, "num_computations", self._most_computations())
        require(
            (
                self.total_depth % self.num_computations == 0,
                "num_computations must divide total_depth.",
                self._given("num_computations", "total_depth"),
            ),
            (
                self.kernel_size % 2 == 1 or self.boundary != "symmetric",
                "the 'symmetric' boundary needs an odd kernel_size.",
                self._given("kernel_size"),
            ),
            (
                self.fully_connected or self.weights != "gram",
                "weights='gram' needs kernel_size=1.",
                self._given("kernel_size"),
            ),
        )
        check_gain(self.kernel_initializer, self.gain, self.weights)
        self._check_structure()

    def _most_computations(self) -> int:
        """Return the largest number of measured depths up to `MOST_COMPUTATIONS` that depth and stages allow."""
        stages = self.structure.stages
        possible = (number for number in range(MOST_COMPUTATIONS, 0, -1) if self.total_depth % number == 0)
        return next((number for number in possible if number % stages == 0), 1)

    def _check_structure(self) -> None:
        structure = self.structure
        structure.channels(self.num_channels)  # refuses widths and groups
        steps = (*structure.steps, *structure.after, *structure.transition)
        even = [str(step) for step in steps if step.kernel_size and step.kernel_size % 2 == 0]
        spatial = [str(step) for step in steps if step.kind.over_space or (step.kernel_size or 1) > 1]
        require(
            (
                self.num_computations % structure.stages == 0,
                "stages must divide num_computations.",
                {"stages": structure.stages, **self._given("num_computations")},
            ),
            (
                not even or self.boundary != "symmetric",
                "the 'symmetric' boundary needs odd kernels.",
                {"step": "".join(even[:1])},
            ),
            (
                not spatial or not self.fully_connected,
                "a fully connected network has one point in space: expected kernel_size above 1.",
                {**self._given("kernel_size"), "step": "".join(spatial[:1])},
            ),
        )

    def _given(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    @property
    def structure(self) -> Architecture:
        """The architecture, looked up in `ARCHITECTURES` if it is a name."""
        return ARCHITECTURES[self.architecture] if isinstance(self.architecture, str) else self.architecture

    @property
    def name(self) -> str:
        """The name of the architecture; `"custom"` for one that has none."""
        return self.architecture if isinstance(self.architecture, str) else "custom"

    @property
    def fully_connected(self) -> bool:
        """Whether images are flattened to one pixel and kernels have one entry."""
        return self.kernel_size == 1

    @property
    def first_strides(self) -> int:
        """Strides of the first convolution, which halves the sides of images: 2, or 1 if fully connected."""
        return 1 if self.fully_connected else 2

    def layer_side(self, image_side: int) -> int:
        """Return the side of the images after the first convolution, from that of its input, in pixels."""
        return 1 if self.fully_connected else -(-image_side // self.first_strides)

    @property
    def spacing(self) -> int:
        """Number of layers between one measured layer and the next."""
        return self.total_depth // self.num_computations

    @property
    def depth(self) -> np.ndarray:
        """The measured layers, counted from 1."""
        return np.arange(1, self.num_computations + 1) * self.spacing

    @property
    def places(self) -> tuple[str, ...]:
        """The places of a layer where moments are taken."""
        return self.structure.places

    @property
    def headline(self) -> tuple[str, str, str]:
        """Architecture, depth and width."""
        return str(self.architecture), str(self.total_depth), str(self.num_channels)

    @property
    def described(self) -> dict[str, np.ndarray]:
        """The measured layers, and the number of convolutions of a residual unit."""
        return {"depth": self.depth.astype("<i8"), "res_depth": np.array(self.res_depth, "<i8")}

    @property
    def kernels_per_layer(self) -> int:
        """The number of kernels that one layer draws."""
        return self.structure.kernels_per_layer(self.res_depth)

    @property
    def array_names(self) -> tuple[str, ...]:
        """Names `<moment>_<loc>` of the measured arrays, place by place."""
        return tuple(f"{moment}_{place}" for place in self.structure.places for moment in self.moments_at(place))

    def moments_at(self, place: str) -> tuple[str, ...]:
        """Return the names of the moments that are taken at a place."""
        return tuple(
            name
            for name, moment in MOMENTS.items()
            if not moment.only_activated or (self.takes_ranks(moment.of) and place in self.structure.activated_places)
        )

    def takes_ranks(self, of: str) -> bool:
        """Return whether effective ranks of the `"signal"` or the `"noise"` are taken."""
        return {"signal": self.compute_reff_signal, "noise": self.compute_reff_noise}[of]

    def check_images(self, shape: tuple[int, ...]) -> None:
        """Refuse images that this experiment cannot use.

        Args:
            shape: (number of images, height, width, channels).

        Raises:
            ValueError: If there are fewer images than `batch_size`, or a kernel is larger than a layer's image.
        """
        number, height, width, _ = shape
        require(
            (
                self.batch_size <= number,
                f"batch_size must be at most the {number} images of the dataset.",
                self._given("batch_size"),
            ),
            (
                not self.fully_connected or self.batch_size > 1,
                "a fully connected network needs a batch_size of at least 2: one number has no standard deviation.",
                self._given("batch_size"),
            ),
        )
        if self.fully_connected:
            return
        side = min(height, width)
        of_layers = self.structure.kernels_and_images(self.kernel_size, self.layer_side(side))
        require(
            *(
                (
                    kernel <= smallest,
                    f"kernel_size must be at most {smallest}, the smallest side of the layers for images of {height} x "
                    f"{width} pixels.",
                    {"kernel_size": kernel},
                )
                for kernel, smallest in (*of_layers, (self.kernel_size, side))
            )
        )
