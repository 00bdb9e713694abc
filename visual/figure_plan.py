"""The figure "plan": what the scheduler made of a program, stage by stage, with what each level costs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from lstmgraph.errors import DrawingError
from lstmgraph.graph import Dim, node_of, resize
from lstmgraph.plugins import ops
from lstmgraph.visual.dot import plain_text, quote
from lstmgraph.visual.drawing import Drawing
from lstmgraph.visual.engine import LAYERED
from lstmgraph.visual.fixed import fixed_label, fixed_size
from lstmgraph.visual.layered import head, rank_of
from lstmgraph.visual.look import Look, paint_kind
from lstmgraph.visual.style import CAPTION_FONT, PEN
from lstmgraph.visual.themes import theme_named

# form of a stage -> kind of item whose colours it has, and what it is called
FORMS = {
    "once": ("note", "once"),
    "fill": ("note", "once"),
    "rows": ("input", "all rows at once"),
    "recur": ("frame", "step by step"),
    "reduce": ("sum", "sums over all rows"),
}
MOST = 6  # different ops that a node names
SMALL, NOTE = 10, 9  # sizes of what a level does, and of what is handed on
AROUND = (18, 9)  # points that a level is wider and higher than its text
SIDE = {"TB": "e", "BT": "e", "LR": "n", "RL": "n"}  # where the loop of the steps runs: beside the levels


@dataclass(frozen=True)
class Level:
    """One node of the figure: its lines, and its cost a row in multiply-adds of products and in pointwise ops."""

    lines: tuple[str, ...]
    products: int
    others: int


def figure(program: Any, *, direction: str = "down", theme: str = "classic") -> Drawing:
    """Draw the plan of a program: a cluster a stage, a node a level, in the order in which they run.

    The cost is what one row takes, one step of one sequence: multiply-adds in products with matrices, and values
    of pointwise ops and reductions. A stage that runs once has none.

    Parameters
    ----------
    program : Program
        What `lstmgraph.compile` returned: anything with a `plan` and `sizes`.
    direction : str
        Where time runs: "down", "up", "right" or "left".
    theme : str
        The colours.
    """
    plan = getattr(program, "plan", None)
    if plan is None or not hasattr(plan, "stages"):
        raise DrawingError(
            f"draw: got {type(program).__name__}, expected a program for figure 'plan'; make one with lg.compile"
        )
    look, rank = Look(theme_named(theme)), rank_of(direction)
    name = plan.traced.name
    sizes = dict(getattr(program, "sizes", {}))
    lines = head(f"plan of {name}", rank, look.theme, "ranksep=0.3 nodesep=0.3 compound=true")
    groups = _grouped(plan.stages)
    total = [0, 0]
    for place, group in enumerate(groups):
        levels = list(_levels(plan, group, sizes))
        total = [total[0] + sum(x.products for x in levels), total[1] + sum(x.others for x in levels)]
        lines += _cluster(look, plan, group, place, levels, SIDE[rank])
    lines += _edges(plan, groups, look, SIDE[rank])
    note = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
    note = f"{note}; a row is one step of one sequence" if note else "a row is one step of one sequence"
    lines.append(f"  graph [fontsize={SMALL} label={fixed_label(note, SMALL)}];")
    text = (
        f"The plan of {name} in {len(groups)} stages: "
        + "; ".join(_heading(plan, group) for group in groups)
        + f". A row takes {total[0]:,} multiply-adds in products and {total[1]:,} pointwise values."
    )
    return Drawing("\n".join([*lines, "}"]) + "\n", LAYERED, f"the plan of {name}", text)


def _grouped(stages: Sequence[Any]) -> list[list[Any]]:
    """Return the stages in order, neighbours that run once and in the same phase as one."""
    groups: list[list[Any]] = []
    for stage in stages:
        once = FORMS[stage.form][1] == "once"
        last = groups[-1][-1] if groups else None
        if once and last is not None and FORMS[last.form][1] == "once" and last.phase == stage.phase:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def _heading(plan: Any, group: list[Any]) -> str:
    from lstmgraph.schedule.describe import PHASES

    stage = group[0]
    words = FORMS[stage.form][1]
    if stage.form == "recur":
        words = f"{node_of(plan.traced.graph, stage.key).attr('name')}, "
        words += "from the last step to the first" if stage.reverse else "step by step"
    return words + PHASES[stage.phase]


def _levels(plan: Any, group: list[Any], sizes: Mapping[Dim, Dim]) -> Iterator[Level]:
    """Yield what a stage computes, level by level."""
    from lstmgraph.schedule.levels import blocks

    stage = group[0]
    if stage.cell is None:
        graph = plan.traced.graph
        keys = [key for one in group for _, key in one.results]
        costs = [_numbers(node_of(graph, key).shape, sizes) for key in keys] if stage.form == "reduce" else []
        yield Level((_counted(node_of(graph, key).op for key in keys),), sum(costs), 0)
        return
    graph = stage.cell.graph
    inner = {symbol: resize(dim, sizes) for symbol, dim in stage.sizes} or sizes
    for block in blocks(graph):
        size = _numbers((block.size,), inner)
        terms = [term for product in block.products for term in product.terms]
        products = sum(_numbers(node_of(graph, matrix).shape, inner) for _, matrix in terms)
        words = [f"level {block.level}: {block.kind} of {block.size}"]
        if terms:
            matrices = ", ".join(dict.fromkeys("×".join(map(str, node_of(graph, m).shape)) for _, m in terms))
            words.append(f"{len(terms)} product{'s' * (len(terms) > 1)} with {matrices}")
        if block.values:
            words.append(_counted(node_of(graph, key).op for key in block.values))
        yield Level(tuple(words), products, size * len(block.values))


def _numbers(dims: Sequence[Dim], sizes: Mapping[Dim, Dim]) -> int:
    """Return the product of dimensions; one whose size is not known counts as 1."""
    resolved = [resize(dim, sizes) for dim in dims]
    return prod(dim for dim in resolved if isinstance(dim, int))


def _counted(names: Iterator[str]) -> str:
    """Return how often each op occurs, the most frequent first."""
    counts = Counter(names)
    parts = [f"{count} {_sign(name)}" for name, count in counts.most_common(MOST)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(MOST))
    return ", ".join(parts) + (f", {rest} more" if rest else "")


def _sign(name: str) -> str:
    definition = ops().get(name)
    text = plain_text(definition.glyph.text) if definition and definition.kind == "pointwise" else ""
    return text or name.replace("_", " ")


def _cluster(look: Look, plan: Any, group: list[Any], place: int, levels: list[Level], loop: str) -> Iterator[str]:
    stage = group[0]
    paint, heading = paint_kind(look, "", FORMS[stage.form][0]), f"{place + 1}. {_heading(plan, group)}"
    yield f"  subgraph {quote(f'cluster_{place}')} {{"
    yield (
        f'    graph [id="stage_{place}" class="stage" label={fixed_label(heading, CAPTION_FONT)} labeljust=l '
        f"labelloc={'b' if loop == 'n' else 't'} "
        f'style="rounded,filled" fillcolor="{paint.fill}" color="{paint.line}" fontcolor="{paint.text}" margin=10 '
        f"fontsize={CAPTION_FONT} tooltip={quote(heading)}];"
    )
    plain = paint_kind(look, "", "note")
    for number, level in enumerate(levels):
        cost = [f"{level.products:,} multiply-adds" if level.products else "", f"{level.others:,} values"]
        cost = [word for word in cost if word and not word.startswith("0 ")]
        lines = [*level.lines, *([f"{' + '.join(cost)} a row"] if cost else [])]
        label, size = "\n".join(lines), fixed_size([(line, SMALL) for line in lines], AROUND)
        yield (
            f'    {quote(f"{place}.{number}")} [id={quote(f"stage_{place}_{number}")} class="level" shape=box '
            f'style="rounded,filled" fillcolor="{plain.fill}" color="{paint.line}" fontcolor="{paint.text}" '
            f"fontsize={SMALL} {size} penwidth={PEN} label={quote(label)} tooltip={quote(label)}];"
        )
    yield "  }"
    for number in range(1, len(levels)):
        ends = f"{place}.{number - 1}", f"{place}.{number}"
        yield (
            f"  {quote(ends[0])} -> {quote(ends[1])} [id={quote(f'level_{ends[0]}_to_{ends[1]}')} "
            f'class="wire" tooltip="level {number - 1} to level {number}"];'
        )


def _edges(plan: Any, groups: list[list[Any]], look: Look, side: str) -> Iterator[str]:
    """Yield what each stage hands to later ones, and the loop of a stage that runs over time."""
    made: dict[str, int] = {}
    last: dict[int, int] = {}
    for place, group in enumerate(groups):
        last[place] = sum(1 for _ in _levels(plan, group, {})) - 1
        read: dict[int, list[str]] = {}
        for stage in group:
            for name, key in stage.sources:
                if key in made and made[key] != place:
                    read.setdefault(made[key], []).append(name.rpartition(":")[2] or key)
        for source, names in sorted(read.items()):
            words = ", ".join(dict.fromkeys(names))
            count = len(set(names))
            what = f"{count} value{'s' * (count > 1)}"
            yield (
                f"  {quote(f'{source}.{last[source]}')} -> {quote(f'{place}.0')} "
                f'[id="stage_{source}_to_{place}" class="wire" '
                f"label={fixed_label(what, NOTE, 14)} tooltip={quote(f'{what}: {words}')} "
                f"ltail={quote(f'cluster_{source}')} lhead={quote(f'cluster_{place}')}];"
            )
        if group[0].form == "recur":
            port = f":{side}" if last[place] else ""
            yield (
                f'  {quote(f"{place}.{last[place]}")}{port} -> {quote(f"{place}.0")}{port} [id="stage_{place}_loop" '
                f'class="state" constraint=false style=dashed label={fixed_label("next step", NOTE)} '
                f'tooltip="states, to the next step"];'
            )
        made.update({key: place for stage in group for _, key in stage.results})
