"""What starting costs, in fresh processes: the import, and all until the first results with and without a cache."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from lstmgraph.bench.records import Figure, Request, Row

SIZES = ()
COLD, WARM = 2, 3  # runs with an empty cache folder, and after each of them runs with what it left
CODE = """
import json, sys, time
begin = time.perf_counter()
import lstmgraph as lg
imported = time.perf_counter()
from lstmgraph.bench import ours
from lstmgraph.bench.records import Size
program, params, x, dy = ours.compiled(ours.lstm, Size(10, 8, 32, 64), int(sys.argv[1]))
program(params, x)
forward = time.perf_counter()
program.vjp(params, x, wrt=("params",))[2](dy)
print(json.dumps({
    "import lstmgraph": imported - begin,
    "first call": forward - begin,
    "first call and gradient": time.perf_counter() - begin,
}))
"""


def rows(request: Request) -> Iterator[Row]:
    """Yield the import, then the first call and training step, cold and warm."""
    cold, warm = [], []
    for _ in range(COLD):
        with tempfile.TemporaryDirectory(prefix="lstmgraph-") as folder:
            cold.append(_run(folder, request.threads))
            warm += [_run(folder, request.threads) for _ in range(WARM)]
    for name in cold[0]:
        runs = {"warm cache": warm, "cold cache": cold} if name.startswith("first") else {"fresh process": cold + warm}
        yield Row(name, tuple(Figure(what, tuple(run[name] for run in found)) for what, found in runs.items()))


def _run(folder: str, threads: int) -> dict[str, float]:
    """Return the seconds that a fresh process with this cache folder says."""
    command = [sys.executable, "-c", CODE, str(threads)]
    environment = os.environ | {"LSTMGRAPH_CACHE_DIR": folder}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found
