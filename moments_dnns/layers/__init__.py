"""Keras layers that propagate a signal and its noise together, and measure them.

Importing this makes all of them known to Keras, which can then load saved models that are made of them.
"""

import lazy_loader

import moments_dnns._backend

moments_dnns._backend.check_installed()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

for _name in __all__:
    __getattr__(_name)
