"""Speed, measured on demand beside what a user would pick instead; never a test: `python -m tests.benchmarks`."""
