"""What is known exactly: infinite width, closed forms, the law of narrow networks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
