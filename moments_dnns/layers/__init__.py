"""Keras layers that propagate a signal and its noise together, and measure them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
