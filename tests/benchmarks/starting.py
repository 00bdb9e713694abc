"""What starting costs, each in fresh processes: the import, a cold compile of an LSTM's training step, a warm load.

python -m tests.benchmarks.starting
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

IMPORT = """
import json, time
begin = time.perf_counter()
import lstmgraph
print(json.dumps({"import lstmgraph": time.perf_counter() - begin}))
"""
FIRST_STEP = """
import json, time
import numpy as np
import lstmgraph as lg

@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c

begin = time.perf_counter()
program = lg.compile(lstm, input_size=32, hidden_size=64)
params, x = program.init(seed=0), np.ones((10, 8, 32), "float32")
made = time.perf_counter()
program(params, x)
forward = time.perf_counter()
y, _, pullback = program.vjp(params, x, wrt=("params",))
pullback(np.ones_like(y))
end = time.perf_counter()
print(json.dumps({"program": made - begin, "first call": forward - made, "first gradient": end - forward,
                  "all": end - begin}))
"""


def run(code: str, folder: str) -> dict[str, float]:
    """Run code in a fresh process with a cache folder and return the seconds that it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LSTMGRAPH_CACHE_DIR": folder},
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def say(title: str, runs: list[dict[str, float]]) -> None:
    """Print the median of each figure with the least and the most."""
    for name in runs[0]:
        seconds = [found[name] for found in runs]
        print(
            f"{title:22} {name:18} {statistics.median(seconds):7.3f} s [{min(seconds):.3f}, {max(seconds):.3f}]",
            flush=True,
        )


def main() -> None:
    """Measure: five imports, two cold compiles, five warm loads."""
    with tempfile.TemporaryDirectory() as folder:
        say("fresh process", [run(IMPORT, folder) for _ in range(5)])
    cold = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(run(FIRST_STEP, folder))
            warm = [run(FIRST_STEP, folder) for _ in range(5)]
    say("cold cache", cold)
    say("warm cache", warm)


if __name__ == "__main__":
    main()
