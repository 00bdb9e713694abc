"""The kernel that ``docs/kernels.md`` shows is the one generated today; LSTMGRAPH_GOLDEN=write writes it anew."""

import os
from pathlib import Path

import lstmgraph as lg
from lstmgraph.jit.machine import machine

PAGE = Path(__file__).parents[1] / "docs" / "kernels.md"
MARK = "pytest tests/test_docs.py -->\n```python\n"


@lg.cell
def lstm(x, h, c):
    c = lg.gate(c, h, x, name="forget") + lg.gate(lg.tanh_layer(h, x, name="candidate"), h, x, name="input")
    h = lg.gate(lg.tanh(c), h, x, name="output")
    return h, c


def test_the_kernel_shown_is_the_one_generated(monkeypatch):
    monkeypatch.setattr("lstmgraph.program.host", lambda dtype: machine(dtype, 16, compiled=False))  # AVX-512
    page = PAGE.read_text(encoding="utf-8")
    kernel = lg.compile(lstm, input_size=3, hidden_size=5).source.split("\n\n\n")[0].rstrip("\n")
    before, _, shown = page.partition(MARK)
    if os.environ.get("LSTMGRAPH_GOLDEN") == "write":
        PAGE.write_text(f"{before}{MARK}{kernel}\n```\n", encoding="utf-8")
        shown = f"{kernel}\n```\n"
    assert shown == f"{kernel}\n```\n", "docs/kernels.md shows another kernel; LSTMGRAPH_GOLDEN=write pytest this file"
