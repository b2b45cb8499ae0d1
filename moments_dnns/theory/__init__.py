"""What is known exactly: networks of infinite width, closed forms, and the law of narrow ones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
