"""`python -m moments_dnns`: the command line `moments-dnns`."""

import sys

from .commands import main

sys.exit(main())
