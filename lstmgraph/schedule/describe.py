"""A plan as text for people: stages, their loops, levels, products, and what is kept."""

from typing import TYPE_CHECKING

import networkx as nx

from lstmgraph.graph import node_of
from lstmgraph.schedule.levels import Block, blocks

if TYPE_CHECKING:
    from lstmgraph.schedule.plan import Plan, Stage

PHASES = ("", " (backward)", " (at the end)")  # what is said of a stage, by its phase


def describe(plan: "Plan") -> str:
    """Return the plan as indented lines."""
    target = plan.target
    lines = [f"plan of {plan.traced.name}: {target.dtype}, {target.width} lanes, tile {target.rows} x {target.vectors}"]
    for place, stage in enumerate(plan.stages):
        lines += [f"{place + 1:3d}. {_heading(plan, stage)}", *_inside(stage)]
    return "\n".join(lines)


def _heading(plan: "Plan", stage: "Stage") -> str:
    node = node_of(plan.traced.graph, stage.key)
    phase = PHASES[stage.phase]
    if stage.form == "recur":
        way = "from the last step to the first" if stage.reverse else "step by step"
        return f"recur {node.attr('name')}, {way}{phase}"
    if stage.form == "rows":
        return f"rows, all of {' x '.join(map(str, stage.rows))} at once{phase}"
    nodes = [node_of(plan.traced.graph, key) for _, key in stage.results]
    return f"{stage.form} {', '.join(f'{node.op} {list(node.shape)}' for node in nodes)}{phase}".replace("'", "")


def _inside(stage: "Stage") -> list[str]:
    if stage.cell is None or stage.kernel is None:
        return []
    graph = stage.cell.graph
    lines = [f"       level {block.level}: {describe_block(graph, block)}" for block in blocks(graph)]
    kept = [name.partition(":")[2] for name, _ in stage.results if name.startswith("output:")]
    if kept:
        lines.append(f"       gives {', '.join(kept)}")
    scratch = [
        size for buffer in stage.kernel.buffers if buffer.role == "scratch" for size in str(buffer.size).split("+")
    ]
    if scratch:
        lines.append(f"       holds {len(scratch)} rows between levels, of {', '.join(scratch)} features")
    return lines


def describe_block(graph: nx.MultiDiGraph, block: Block) -> str:
    """Return a block in a line: its kind, its size, its products and its ops."""
    parts = []
    for product in block.products:
        matrices = " + ".join(
            f"{node_of(graph, source).name or node_of(graph, source).op} @ {node_of(graph, matrix).name}"
            for source, matrix in product.terms
        )
        parts.append(matrices)
    ops = [node_of(graph, key).op for key in block.values]
    if ops:
        parts.append(", ".join(ops))
    return f"{block.kind} of {block.size}: " + "; ".join(parts)
