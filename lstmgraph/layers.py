"""Layers: linear, sigmoid_layer, tanh_layer, gate and the rest, each a body of known ops."""

from collections.abc import Mapping
from typing import Any

from lstmgraph.errors import GraphError
from lstmgraph.graph import Builder, Dim, Shape, Symbol, exact_shape, features, lead, named, node_of, resize
from lstmgraph.initializers import Initializer, as_initializer
from lstmgraph.lines import say_line, user_line
from lstmgraph.trace import active, as_index
from lstmgraph.traced import Cell, claim


def parameter(name: str, shape: tuple[Dim, ...] = ("H",), init: Initializer | None = None) -> Symbol:
    """Declare a learned value; declaring a name twice ties it.

    Parameters
    ----------
    name : str
        Its full name in ``params``.
    shape : tuple of int or str
        Sizes or symbols; ``()`` is a number.
    init : number, str or tuple, optional
        How it starts: see `lstmgraph.initializers`. Zeros for numbers and vectors, Glorot for matrices.

    Raises
    ------
    GraphError
        If the name is declared already with another shape or start.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def leak(x, h):
    ...     return lg.sigmoid(lg.parameter("rate", shape=())) * h + x
    """
    builder = active("parameter")
    start = as_initializer(init, "zeros" if len(shape) < 2 else "glorot", f"parameter {name!r}")
    known = named(builder.graph, "parameter")
    if name in known:
        node = node_of(builder.graph, known[name])
        if node.shape != tuple(shape) or (init is not None and node.attr("init") != start):
            raise GraphError(
                f"parameter {name!r}{say_line(user_line())}: got shape {tuple(shape)}, expected {node.shape} as "
                "declared before; give it another name, or the same shape to tie it"
            )
        return builder.symbol(known[name])
    if len(shape) > 2 or any(dim in ("T", "B") for dim in shape):
        raise GraphError(
            f"parameter {name!r}: got shape {tuple(shape)}, expected at most two sizes, none of them T or B"
        )
    return builder.leaf("parameter", tuple(shape), name=name, init=start)


def linear(
    *sources: Symbol,
    name: str,
    size: Dim | None = None,
    bias: bool = True,
    init: Initializer | Mapping[str, Initializer] | None = None,
    **named_sources: Symbol,
) -> Symbol:
    """Return ``h @ W_h + x @ W_x + b``: one weight matrix a source, added up.

    Parameters
    ----------
    *sources : Symbol
        Inputs or states as the cell received them; their weights are called ``name.W_h``. A single source may be
        any value; the weight of one that is neither input nor state is ``name.W``.
    name : str
        The layer's name, the prefix of its parameters.
    size : int or str, optional
        The number of outputs; ``"H"`` by default.
    bias : bool
        Whether ``name.b`` is added.
    init : optional
        How the weights start, or a dictionary by weight: ``{"W_h": "orthogonal", "b": 1.0}``. By default Glorot
        for inputs, orthogonal for states and values made from them, zeros for the bias.
    **named_sources : Symbol
        Any values, by the name that their weights shall have: ``h=r * h``.

    Raises
    ------
    GraphError
        If the name is taken, or one of several positional sources is an expression.
    """
    result = _linear(sources, named_sources, name, size, bias, init)
    result.builder.label(name, result)
    return result


def sigmoid_layer(*sources: Symbol, name: str, **options: Any) -> Symbol:
    """Return ``sigmoid(linear(*sources, name=name))``: the yellow box with σ; options as in `linear`."""
    return _layer("sigmoid", sources, name, options)


def tanh_layer(*sources: Symbol, name: str, **options: Any) -> Symbol:
    """Return ``tanh(linear(*sources, name=name))``: the yellow box with tanh; options as in `linear`."""
    return _layer("tanh", sources, name, options)


def gate(value: Symbol, *sources: Symbol, name: str, **options: Any) -> Symbol:
    """Return ``sigmoid_layer(*sources, name=name) * value``: 0 lets nothing through, 1 everything.

    Parameters
    ----------
    value : Symbol
        What passes through the gate.
    *sources, name, **options
        As in `linear`; the name labels the sigmoid.
    """
    return sigmoid_layer(*sources, name=name, **options) * value


def _layer(activation: str, sources: tuple[Symbol, ...], name: str, options: dict[str, Any]) -> Symbol:
    known = {key: options.pop(key, default) for key, default in (("size", None), ("bias", True), ("init", None))}
    total = _linear(sources, options, name, **known)
    result = total.builder.add(activation, total)
    result.builder.label(name, result)
    return result


def _linear(
    sources: tuple[Symbol, ...],
    named_sources: Mapping[str, Symbol],
    name: str,
    size: Dim | None,
    bias: bool,
    init: Initializer | Mapping[str, Initializer] | None,
) -> Symbol:
    builder = active("linear")
    claim(builder, name)
    terms = _weights_of(builder, sources, named_sources, name)
    outputs: Dim = "H" if size is None else size
    starts = init if isinstance(init, Mapping) else {weight: init for weight, _, _ in terms}
    unknown = set(starts) - {weight for weight, _, _ in terms} - {"b"}
    if unknown:
        raise GraphError(
            f"layer {name!r}: got init for {sorted(unknown)}, expected weights of the layer: "
            f"{', '.join(weight for weight, _, _ in terms)}, b"
        )
    total: Symbol | None = None
    for weight, source, default in terms:
        shape = (features(source.shape)[-1], outputs)
        start = as_initializer(starts.get(weight), default, f"layer {name!r}")
        product = source @ builder.leaf("parameter", shape, name=f"{name}.{weight}", init=start)
        total = product if total is None else total + product
    assert total is not None
    if bias:
        start = as_initializer(starts.get("b"), "zeros", f"layer {name!r}")
        total = total + builder.leaf("parameter", (outputs,), name=f"{name}.b", init=start)
    return total


def _weights_of(
    builder: Builder, sources: tuple[Symbol, ...], named_sources: Mapping[str, Symbol], name: str
) -> list[tuple[str, Symbol, str]]:
    """Return (weight, source, default start) of each source of a layer."""
    where = f"layer {name!r}{say_line(user_line())}"
    terms = []
    for value in sources:
        source = builder.lift(value, where)
        received = source.node.op in ("input", "state")
        if not received and (len(sources) > 1 or named_sources):
            raise GraphError(
                f"{where}: got an expression ({source.node.op}) by position, expected an input or a state as the cell "
                "received it; name it, as in h=r * h, so that its weight has a name"
            )
        terms.append((f"W_{source.node.name}" if received else "W", source, _default_start(source)))
    terms += [(f"W_{key}", builder.lift(value, where), "") for key, value in named_sources.items()]
    terms = [(weight, source, start or _default_start(source)) for weight, source, start in terms]
    weights = [weight for weight, _, _ in terms]
    if not terms or len(set(weights)) != len(weights):
        raise GraphError(f"{where}: got sources {weights}, expected at least one, each of its own name")
    for weight, source, _ in terms:
        if not features(source.shape):
            raise GraphError(f"{where}: got {weight} from an index, expected a value; use lg.embedding first")
    return terms


def _default_start(source: Symbol) -> str:
    return "glorot" if source.node.op == "input" or lead(source.shape) == ("T", "B") else "orthogonal"


def embedding(tokens: Symbol, entries: int, size: Dim, *, name: str, init: Initializer | None = None) -> Symbol:
    """Return the row of a learned table ``name.W`` [entries, size] for each token.

    Parameters
    ----------
    tokens : Symbol
        An input of integers from 0 to entries - 1.
    entries, size : int
        The number of different tokens and of features.
    name : str
        The layer's name.
    init : optional
        How the table starts; normal with standard deviation 1 by default.
    """
    builder = active("embedding")
    index = as_index(builder.lift(tokens, "embedding"), "embedding")
    claim(builder, name)
    start = as_initializer(init, ("normal", 1.0), f"embedding {name!r}")
    table = builder.leaf("parameter", (entries, size), name=f"{name}.W", init=start)
    result = builder.add("gather", table, index)
    builder.label(name, result)
    return result


def one_hot(tokens: Symbol, size: Dim) -> Symbol:
    """Return 1 at the feature that a token names, 0 elsewhere."""
    builder = active("one_hot")
    return builder.add("one_hot", as_index(builder.lift(tokens, "one_hot"), "one_hot"), size=size)


def recur(cell: Cell, *inputs: Symbol, size: Dim = "H", name: str, reverse: bool = False, **sizes: Dim) -> Symbol:
    """Run a cell over the sequence and return its output (a dictionary by name if it has several).

    Parameters
    ----------
    cell : Cell
        Any cell.
    *inputs : Symbol
        Sequences, one for each input of the cell.
    size : int or str
        The hidden size H of the cell.
    name : str
        Prefix of its parameters, states and labels.
    reverse : bool
        Run from the last step to the first (of each row's valid part); an adjoint cell, from the first to the last.
    **sizes
        Other symbols of the cell; one that is missing is a symbol of the network.
    """
    from lstmgraph.border import symbols_of
    from lstmgraph.ops.recur import make, result

    builder = active("recur")
    if not isinstance(cell, Cell) or len(inputs) != len(cell.inputs):
        raise GraphError(
            f"lg.recur {name!r}: got {len(inputs)} inputs for {cell!r}, expected a cell and its inputs: "
            f"{', '.join(getattr(cell, 'inputs', ()))}"
        )
    claim(builder, name)
    shapes = {key: value.shape for key, value in zip(cell.inputs, inputs, strict=True)}
    bound = cell.bind_sizes(shapes, size) | sizes
    bound |= {dim: dim for dim in symbols_of(cell) if dim not in bound}  # what is not given is the network's own
    values: dict[str, Symbol | float] = {f"input:{key}": value for key, value in zip(cell.inputs, inputs, strict=True)}
    for leaf, node in cell.leaves.items():
        if leaf in values:
            continue
        kind = leaf.partition(":")[0]
        rows: Shape = ("T", "B") if kind == "input" else lead(node.shape)
        shape = rows + tuple(resize(dim, bound) for dim in features(node.shape))
        attrs = dict(node.attrs) | {"name": f"{name}.{node.name}"}
        if node.attr("initial"):
            attrs["initial"] = f"{name}.{node.attr('initial')}"
        values[leaf] = builder.leaf(kind, shape, **attrs)
    run = make(builder, cell, values, tuple(bound.items()), reverse != cell.reverse, name)
    nexts = builder.graph.graph.setdefault("nexts", {})
    for state in cell.states:
        nexts[f"{name}.{state}"] = result(run, "final", state, ("T", "B"))
    outputs = {output: result(run, "output", output, ("T", "B")) for output in cell.outputs}
    for output, value in outputs.items():
        builder.label(name if len(outputs) == 1 else f"{name}.{output}", value)
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs  # type: ignore[return-value]


def delay(value: Symbol, steps: int = 1, *, name: str | None = None) -> Symbol:
    """Return what a value was some steps ago, zeros before that: a state that the cell keeps by itself.

    Parameters
    ----------
    value : Symbol
        An input or a state as the cell received it, or any value if named.
    steps : int
        How many steps ago.
    name : str, optional
        What the states are called after: ``NAME_delayed``, ``NAME_delayed_2``, ...; the value's own name by default.

    Raises
    ------
    GraphError
        For an expression without a name, or a number of steps below 1.
    """
    builder = active("delay")
    given = builder.lift(value, "delay")
    name = name or given.node.name
    if not name or not isinstance(steps, int) or steps < 1:
        raise GraphError(
            f"lg.delay{say_line(user_line())}: got {given.node.op} {steps} steps ago, expected a value with a name and "
            "at least 1 step; pass name="
        )
    nexts = builder.graph.graph.setdefault("nexts", {})
    for step in range(1, steps + 1):
        state = f"{name}_delayed" if step == 1 else f"{name}_delayed_{step}"
        if nexts.setdefault(state, given).key != given.key:
            raise GraphError(f"lg.delay: {name!r} is delayed already as another value; give it another name=")
        given = builder.leaf("state", given.shape, name=state)
    return given


def split(value: Symbol, *sizes: Dim) -> tuple[Symbol, ...]:
    """Return the features of a row in parts, from the first on: the other way round of ``lg.concat``.

    Parameters
    ----------
    value : Symbol
        Rows.
    *sizes : int or str
        How many features each part has; together, as many as the value.

    Raises
    ------
    GraphError
        If no size is given, or one is no positive integer or symbol.
    ShapeError
        If the sizes do not add up to the value's; where they are symbols, once they are bound.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def two_groups(x, h):
    ...     first, second = lg.split(h, "H", "H")  # h has 2 H features
    ...     return lg.concat(lg.tanh_layer(x, h=first, name="first"), lg.tanh_layer(x, h=second, name="second"))
    >>> two_groups.leaves["state:h"].shape
    ('B', 'H+H')
    """
    wrong = [size for size in sizes if isinstance(size, bool) or not isinstance(size, int | str) or size in (0, "")]
    if not sizes or wrong or any(isinstance(size, int) and size < 1 for size in sizes):
        raise GraphError(
            f"lg.split{say_line(user_line())}: got sizes {sizes}, expected positive integers or symbols, one for each "
            'part, as in lg.split(h, "H", "H")'
        )
    return tuple(value.builder.add("part", value, index=index, parts=sizes) for index in range(len(sizes)))


def softplus(value: Symbol) -> Symbol:
    """Return log(1 + exp(value)), without overflow."""
    add = value.builder.add
    return add("maximum", value, 0.0) + add("log", 1.0 + add("exp", -add("absolute", value)))


def mean(value: Symbol) -> Symbol:
    """Return the mean over the features of each row, as a value of size 1; of a parameter vector, a number.

    Time is no axis here. To pool over time, train with the target at each step and take
    ``model.predict(x).mean(axis=0)``; to pool inside the equations, let states add up what there has been.

    Examples
    --------
    >>> import lstmgraph as lg
    >>> @lg.cell
    ... def so_far(x, total, steps):
    ...     total, steps = total + x, steps + 1  # from zeros on
    ...     return {"mean": total / steps, "total": total, "steps": steps}
    """
    add = value.builder.add
    return add("row_sum", value) / add("size_of", size=exact_shape(value)[-1])


def softmax(value: Symbol) -> Symbol:
    """Return exp(value) over its sum along the features of each row."""
    add = value.builder.add
    raised = add("exp", value - add("stop_gradient", add("row_max", value)))
    return raised / add("row_sum", raised)


def cumax(value: Symbol) -> Symbol:
    """Return the running sum of the softmax: 0 to 1 along the features (Shen et al. 2019)."""
    return value.builder.add("cumulative_sum", softmax(value))


def layer_norm(value: Symbol, *, name: str | None = None, epsilon: float = 1e-5) -> Symbol:
    """Return each row with mean 0 and variance 1, then scaled and shifted if named (Ba et al. 2016, section 3).

    Parameters
    ----------
    value : Symbol
        Rows.
    name : str, optional
        Layer name of the learned ``name.gain`` (starts at 1) and ``name.b`` (starts at 0).
    epsilon : float
        Added to the variance.
    """
    builder = value.builder
    centred = value - mean(value)
    normal = centred / builder.add("sqrt", mean(centred * centred) + epsilon)
    if name is None:
        return normal
    claim(builder, name)
    shape = value.shape[-1:]
    gain = builder.leaf("parameter", shape, name=f"{name}.gain", init=("constant", 1.0))
    result = normal * gain + builder.leaf("parameter", shape, name=f"{name}.b", init=("zeros",))
    builder.label(name, result)
    return result
