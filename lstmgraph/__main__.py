"""``python -m lstmgraph``: the command line."""

import sys

from lstmgraph.cli import main

sys.exit(main())
