"""What moments say: statistics over realizations, power laws, verdicts, and the published numbers beside them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
