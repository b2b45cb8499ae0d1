"""Experiment: the frozen, validated description from which networks, file names and results follow."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np

from moments_dnns._validation import boolean, non_negative, one_of, refusal, require, text, whole
from moments_dnns.moments import MOMENTS

from .architecture import ARCHITECTURES, Architecture, checked_architecture
from .base import Description, parameter
from .boundaries import BOUNDARIES
from .choices import GAIN, PRECISIONS, STATISTICS, WEIGHTS, check_gain
from .keras_objects import specified
from .steps import Step


@attrs.frozen
class Experiment(Description):
    """The description of an experiment: everything that decides its numbers, and how many there are.

    Args:
        architecture: `"vanilla"`, `"bn_ff"` or `"bn_res"`, or an `Architecture`.
        total_depth: Number of layers; of residual units for a residual architecture.
        kernel_size: Side of the square kernels, in pixels; 1 makes the network fully connected.
        num_channels: Width of every layer, in channels.
        batch_size: Images per realization.
        num_realizations: Number of random networks, each with its own images and noise.
        boundary: What convolutions read beyond the border: `"periodic"`, `"symmetric"` or `"zero_padding"`.
        dataset: `"cifar10"`, `"mnist"`, `"photo"`, a path to `.npy`/`.npz`, or the label of an array.
        epsilon: Constant added to the variances in normalizations.
        res_depth: How often a residual unit goes through its steps.
        num_computations: Number of depths at which moments are taken; divides `total_depth`.
        seed: The only source of randomness; realization k has the child seed of index k.
        compute_reff_signal: Whether effective ranks of the signal are taken.
        compute_reff_noise: Whether effective ranks of the noise are taken.
        weights: `"explicit"` draws all weights, `"gram"` the outputs of fully connected layers from their law given
            the inputs, which is the same law; `"auto"` takes the faster one.
        precision: `"float32"` keeps all digits in products of matrices and convolutions; `"tf32"` lets NVIDIA's tensor
            cores round their factors to 10 bits, which is several times faster and changes nothing elsewhere.
        activation: Specification of the activation: a name of Keras, or what `specification` returns.
        gain: Variance of the weights times fan_in, sigma_w**2; 2 is He's. The first convolution keeps 1.
        kernel_initializer: `"gaussian"`, or the specification of a Keras initializer, which has a gain of its own. The
            first convolution stays Gaussian.
        bias_variance: Variance of the biases, sigma_b**2, of all but the first convolution.
        statistics: What those of batch normalization are for the noise: `"constant"`, as in the paper, or
            `"differentiated"`.

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
        checked_architecture, "the layers of the network, or an Architecture"
    )
    total_depth: int = parameter(whole(1), "number of layers (bn_res: of residual units)")
    kernel_size: int = parameter(whole(1), "side of the kernels in pixels; 1 is fully connected")
    num_channels: int = parameter(whole(1), "width of every layer in channels")
    batch_size: int = parameter(whole(1), "images per realization")
    num_realizations: int = parameter(whole(1), "number of random networks")
    boundary: str = parameter(one_of(BOUNDARIES), "what convolutions read beyond the border", "periodic")
    dataset: str = parameter(text, "cifar10, mnist, photo, or a path to .npy or .npz", "cifar10")
    epsilon: float = parameter(non_negative, "constant added to the variances in normalizations", 1e-3)
    res_depth: int = parameter(whole(1), "how often a residual unit goes through its steps", 2)
    num_computations: int = parameter(whole(1), "number of depths at which moments are taken", 100)
    seed: int = parameter(whole(0), "the only source of randomness", 0)
    compute_reff_signal: bool = parameter(boolean, "take effective ranks of the signal", True)
    compute_reff_noise: bool = parameter(boolean, "take effective ranks of the noise", True)
    weights: str = parameter(one_of(WEIGHTS), "how fully connected layers are drawn", "auto")
    precision: str = parameter(one_of(PRECISIONS), "of products of matrices and convolutions on GPUs", "float32")
    activation: str = parameter(specified("activation"), "a Keras activation, or a function of your own", "relu")
    gain: float = parameter(non_negative, "variance of the weights times fan_in", GAIN)
    kernel_initializer: str = parameter(specified("kernel_initializer"), "gaussian, or a Keras initializer", "gaussian")
    bias_variance: float = parameter(non_negative, "variance of the biases", 0.0)
    statistics: str = parameter(one_of(STATISTICS), "of batch normalization, for the noise", "constant")

    def __attrs_post_init__(self) -> None:
        odd = self.kernel_size % 2 == 1
        require(
            (
                self.total_depth % self.num_computations == 0,
                "num_computations must divide total_depth.",
                self._given("num_computations", "total_depth"),
            ),
            (
                odd or self.boundary != "symmetric",
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
        """Step between the pixels of the first convolution, which brings images to half their sides."""
        return 1 if self.fully_connected else 2

    def layer_side(self, image_side: int) -> int:
        """Return the side of the layers after the first convolution, for images of a side in pixels."""
        return 1 if self.fully_connected else -(-image_side // self.first_strides)

    @property
    def spacing(self) -> int:
        """Number of layers from one measured layer to the next."""
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
        """How many kernels one layer draws."""
        return self.structure.kernels_per_layer(self.res_depth)

    @property
    def array_names(self) -> tuple[str, ...]:
        """Names `<moment>_<loc>` of the arrays of a result, place by place."""
        return tuple(f"{moment}_{place}" for place in self.structure.places for moment in self.moments_at(place))

    def moments_at(self, place: str) -> tuple[str, ...]:
        """Names of the moments that are taken at a place."""
        return tuple(
            name
            for name, moment in MOMENTS.items()
            if not moment.only_activated or (self.takes_ranks(moment.of) and place in self.structure.activated_places)
        )

    def takes_ranks(self, of: str) -> bool:
        """Tell whether effective ranks of the `"signal"` or the `"noise"` are taken."""
        return {"signal": self.compute_reff_signal, "noise": self.compute_reff_noise}[of]

    def check_images(self, shape: tuple[int, ...]) -> None:
        """Refuse images that this experiment cannot use.

        Args:
            shape: (number of images, height, width, channels).

        Raises:
            ValueError: If there are fewer images than `batch_size`, or a kernel is larger than a layer's image.
        """
        if self.batch_size > shape[0]:
            raise ValueError(
                refusal(f"batch_size must be at most the {shape[0]} images of the dataset.", batch_size=self.batch_size)
            )
        if self.fully_connected and self.batch_size == 1:
            raise ValueError(
                refusal(
                    "a fully connected network needs a batch_size of at least 2: one number has no standard deviation.",
                    batch_size=self.batch_size,
                )
            )
        if self.fully_connected:
            return
        smallest_side = min(shape[1:3])
        # Transitions between stages may halve the sides again.
        structure, sides = self.structure, self.structure.sides(self.layer_side(smallest_side))
        of_layers, of_first = ((*structure.steps, *structure.after), sides[-1]), ((Step("conv"),), smallest_side)
        for steps, smallest in (of_layers, (structure.transition, sides[-2:][0]), of_first):
            largest = max((step.kernel_size or self.kernel_size for step in steps if step.name == "conv"), default=1)
            if largest > smallest:
                raise ValueError(
                    refusal(
                        f"kernel_size must be at most {smallest}, the smallest side of the layers for images of "
                        f"{shape[1]} x {shape[2]} pixels.",
                        kernel_size=largest,
                    )
                )
