"""Moments of signal and noise in randomly initialised deep networks (arXiv 1811.03087).

The main names are listed in `__init__.pyi` and imported when they are first used: importing the package starts
no backend and changes nothing. The others are in `moments_dnns.layers`, `.simulation`, `.theory`, `.analysis`,
`.plots`, `.data` and `.moments`.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
