"""The palette: contrast with paper, and what is left of it for the colour-blind and in grey."""

import numpy as np
import pytest
from colorspacious import cspace_convert
from matplotlib.colors import to_rgb

from moments_dnns.plots.style import LOOKS, SEQUENCE, looks

NUMBERS = range(1, 9)
BLINDNESS = ("deuteranomaly", "protanomaly", "tritanomaly")


def rgb(number):
    return np.array([to_rgb(look["color"]) for look in looks(number)])


def relative_luminance(colors):
    """That of WCAG 2: linear light, weighted as the eye does."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def seen(colors, view):
    """Colours as they are seen: as they are, by a kind of blindness (Machado et al. 2009), or in grey."""
    if view == "grey":
        return np.repeat((colors @ [0.2126, 0.7152, 0.0722])[:, None], 3, axis=1)
    if view == "colour":
        return colors
    return np.clip(cspace_convert(colors, {"name": "sRGB1+CVD", "cvd_type": view, "severity": 100}, "sRGB1"), 0, 1)


def differences(colors, view):
    """Distances of all pairs in CAM02-UCS, in which 1 is about a just noticeable difference of large patches."""
    points = cspace_convert(seen(colors, view), "sRGB1", "CAM02-UCS")
    return np.linalg.norm(points[:, None] - points, axis=-1)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_colour_has_contrast_with_white(number):
    assert (1.05 / (relative_luminance(rgb(number)) + 0.05)).min() >= 3
    assert (1.05 / (relative_luminance(SEQUENCE(np.linspace(0, 1, 100))[:, :3]) + 0.05)).min() >= 3


@pytest.mark.parametrize("view", ["colour", *BLINDNESS, "grey"])
@pytest.mark.parametrize("number", NUMBERS[1:])
def test_neighbours_differ_in_every_view(number, view):
    neighbours = np.diag(differences(rgb(number), view), 1)
    # 9 is a step that thin lines still show; beyond six, markers must help.
    assert neighbours.min() >= (9 if number <= 6 else 6)


@pytest.mark.parametrize("view", ["colour", *BLINDNESS, "grey"])
def test_colours_without_an_order_all_differ(view):
    pairs = differences(rgb(len(LOOKS)), view)[np.triu_indices(len(LOOKS), 1)]
    assert pairs.min() >= 20


def test_the_sequence_has_an_order_in_grey():
    assert (np.diff(relative_luminance(SEQUENCE(np.linspace(0, 1, 50))[:, :3])) > 0).all()
