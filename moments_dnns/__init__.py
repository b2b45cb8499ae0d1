"""Moments of signal and noise in randomly initialised networks (arXiv 1811.03087).

The public names are listed in `__init__.pyi` and imported when they are first used: importing the package starts
no backend and changes nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
