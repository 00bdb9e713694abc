"""Run every benchmark: `python -m tests.benchmarks [sizes ...]` from the project's root."""

import sys

from tests.benchmarks import starting, training_step

training_step.main(sys.argv[1:])
starting.main()
