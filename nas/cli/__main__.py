"""`python -m nas.cli` is `evoyolo`."""

import sys

from . import main

sys.exit(main())
