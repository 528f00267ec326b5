"""`python -m nas.cli` is `evoyolo`."""

import sys

from .main import main

sys.exit(main())
