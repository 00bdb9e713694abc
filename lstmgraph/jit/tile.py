"""The register tile: rows of A times packed columns, accumulators in registers; and the kernels built on it alone."""

from functools import cache
from textwrap import indent

from lstmgraph.jit.machine import Machine

ARGUMENTS = "a, a_at, a_row, a_step, b, b_at, c, c_at, c_row, K, add, a_next"
TALL = 4  # rows of a tile that computes for longer than it loads: it has time to fetch what comes later
LOW = 2  # rows of a tile that has registers left for more columns, and chains of sums too few without them
FEWEST = 3  # rows that a tile leaves to the next, if it can: fewer cost as much


def tile_name(rows: int, vectors: int, more: int = 0) -> str:
    """Return the name of a tile in generated source."""
    return f"tile_{rows}x{vectors}{f'_{more}' if more else ''}"


def tile_text(rows: int, vectors: int, more: int = 0) -> str:
    """Return the source of ``C[rows, vectors * W] (+)= A[rows, K] @ B[K, vectors * W]``.

    `a`, `b`, `c` are pointers with the offset of the first element; a row of A is `a_row` elements from the next
    and a column `a_step`; B is contiguous; a row of C is `c_row` elements from the next. With `add` the sum goes on
    from what C holds, else from 0. A tall tile fetches, for a later one, what lies `a_next` elements after A. With
    `more` registers the product with the B after this one, of so many columns more, is taken along.
    """
    names = [[f"c{m}_{v}" for v in range(vectors + more)] for m in range(rows)]
    places = ["", " + W", *(f" + across{v}" for v in range(2, vectors + more))][: vectors + more]
    down = ["", " + a_row", *(f" + down{m}" for m in range(2, rows))]
    lines = [f"def {tile_name(rows, vectors, more)}({ARGUMENTS}):"]
    # what places are sums of is taken once: each product in the text takes a millisecond to compile
    lines += [f"    across{v} = {v} * W" for v in range(2, vectors + more)]
    lines += [f"    down{m} = {m} * a_row" for m in range(2, rows)]
    lines += [f"    second = b_at + {vectors} * W * K"] * bool(more)
    lines += ["    row0 = c_at", *(f"    row{m} = row{m - 1} + c_row" for m in range(1, rows)), "    if add:"]
    for m in range(rows):
        lines += [f"        {name} = load(c, row{m}{place})" for name, place in zip(names[m], places, strict=True)]
    lines += ["    else:", "        nothing = zeros()", *(f"        {name} = nothing" for row in names for name in row)]
    lines += ["    for k in range(K):", "        at = a_at + k * a_step", f"        line = b_at + k * {vectors} * W"]
    lines += [f"        other = second + k * {more} * W"] * bool(more)
    lines += ["        prefetch(a, at + a_next)"] * (rows >= TALL)
    lines += [f"        b{v} = load(b, line{places[v]})" for v in range(vectors)]
    lines += [f"        b{vectors + v} = load(b, other{places[v]})" for v in range(more)]
    for m in range(rows):
        lines.append(f"        a{m} = splat(a, at{down[m]})")
        lines += [f"        {name} = fma(a{m}, b{v}, {name})" for v, name in enumerate(names[m])]
    for m in range(rows):
        lines += [f"    store(c, row{m}{place}, {name})" for name, place in zip(names[m], places, strict=True)]
    return "\n".join(lines) + "\n"


@cache
def tiles_source(target: Machine) -> str:
    """Return the source of the tiles, and of what generated kernels call: as many rows of a product as a tile takes.

    ``share(size, step, part, parts)`` says where a thread's columns begin, ``tile_rows(left)`` how many of the rows
    left the next tile takes; ``product_N(rows, ...)`` is the product of that many rows with N registers of columns.
    """
    texts = [tile_text(rows, vectors) for vectors in range(1, target.vectors + 1) for rows in target.heights]
    texts += [tile_text(rows, target.vectors, more) for more in _more(target) for rows in target.heights if rows <= LOW]
    texts.append(_tile_rows(target.heights))
    texts += [_product(target, columns) for columns in range(1, target.across + 1)]
    texts += [COPY_ROWS.lstrip(), SHARE.lstrip()]
    return "\n\n".join(texts)


def _more(target: Machine) -> range:
    """Return the registers of columns that a product may have beyond those of a tile."""
    return range(1, target.across - target.vectors + 1)


def _tile_rows(heights: tuple[int, ...]) -> str:
    """Return the source of what says how many rows the next tile takes: not so many that the last one has very few."""
    least = {height: height + min(height - 1, FEWEST) for height in heights if height > 1}
    lines = [f"    if left == {height} or left >= {least[height]}:\n        return {height}" for height in least]
    return "\n".join(["def tile_rows(left):", *lines, "    return 1\n"])


def product_name(columns: int) -> str:
    """Return the name of the function that computes any tile height's product with some registers of columns."""
    return f"product_{columns}"


def _product(target: Machine, columns: int) -> str:
    """Return the source of a product: one tile; where more columns are wanted, two, or a low one of all of them."""
    vectors = min(columns, target.vectors)
    more = columns - vectors
    second = ARGUMENTS.replace("b_at", f"b_at + {vectors} * W * K").replace("c_at", f"c_at + {vectors} * W")
    lines = [f"def {product_name(columns)}(rows, {ARGUMENTS}):"]
    for place, rows in enumerate(target.heights):
        lines.append("    else:" if rows == 1 else f"    {'elif' if place else 'if'} rows == {rows}:")
        if more and rows <= LOW:
            lines.append(f"        {tile_name(rows, vectors, more)}({ARGUMENTS})")
            continue
        lines.append(f"        {tile_name(rows, vectors)}({ARGUMENTS})")
        lines += [f"        {tile_name(rows, more)}({second})"] * bool(more)
    return "\n".join(lines) + "\n"


COPY_ROWS = '''
def copy_rows(rows, places, first, a, a_at, a_row, c, c_at, c_row, registers):
    """Copy rows of some registers into a tile, from where their places say."""
    for m in range(rows):
        at = a_at + index(places, first + m) * a_row
        for v in range(registers):
            store(c, c_at + m * c_row + v * W, load(a, at + v * W))
'''

SHARE = '''
def share(size, step, part, parts):
    """Return the first of the columns that are a part's, if some parts share them in panels of `step`."""
    return (size + step - 1) // step * part // parts * step
'''

PACK = '''
def pack(buffers, sizes, t0, t1, b0, b1, slot):
    """Lay matrices [K, N] out as the tiles read them: panel, row, column of the tile, lane; zeros beyond N.

    buffers: the packed one, then the matrices side by side; sizes: K, N, registers of a matrix in a panel, matrices,
    registers of a tile, then the strides of a row and a column of each matrix.
    """
    packed = floats(buffers, 0)
    K = sizes[0]
    N = sizes[1]
    P = sizes[2]
    G = sizes[3]
    V = sizes[4]
    total = P * G
    for panel in range(b0, b1):
        for p in range(P):
            begin = (panel * P + p) * W
            columns = min(W, N - begin)
            for g in range(G):
                matrix = floats(buffers, 1 + g)
                row_stride = sizes[5 + 2 * g]
                column_stride = sizes[6 + 2 * g]
                column = p * G + g
                first = column // V * V
                across = min(V, total - first)
                for k in range(K):
                    at = (panel * total + first) * K * W + (k * across + column - first) * W
                    if column_stride == 1 and columns == W:
                        store(packed, at, load(matrix, k * row_stride + begin))
                    else:
                        for l in range(W):
                            if l < columns:
                                from_at = k * row_stride + (begin + l) * column_stride
                                put_element(packed, at + l, element(matrix, from_at))
                            else:
                                put_element(packed, at + l, scalar(0.0))
'''

OVER_ROWS = '''
def over_rows(buffers, sizes, t0, t1, b0, b1, slot):
    """Sum several D [R, N] over their rows, and their products with the same A [R, K], for panels b0 to b1 of columns.

    buffers: working memory, each A, then for each D itself, its sum and the result C [K, N] of each product; sizes: R,
    N, working memory of a slot, whether sums are wanted, panels that take turns at the same rows, whether to go on from
    what the results hold, the number of A, then each K. Every sum is one chain, from the last row to the first; rows of
    D are copied side by side block by block, and while one is multiplied the rows of A for the next are fetched.
    """
    work = floats(buffers, 0)
    R = sizes[0]
    N = sizes[1]
    begin = slot * sizes[2]
    turns = sizes[4]
    onward = sizes[5]
    products = sizes[6]
    panel = np.int64(VECTORS * W)
    panels = (N + panel - 1) // panel
    unit = np.int64(1)
    every = np.int64(0)
    for product in range(products):
        every += sizes[7 + product] * panel
    for first in range(b0, b1, turns):
        last = min(first + turns, b1)
        if onward == 1:
            for each in range(first, last):
                j = each % panels
                columns = min(panel, N - j * panel)
                total = begin + BLOCK * panel + (each - first) * every
                for product in range(products):
                    c = floats(buffers, 1 + products + each // panels * (2 + products) + 2 + product)
                    K = sizes[7 + product]
                    for i in range(K):
                        for v in range(VECTORS):
                            n = min(columns - v * W, W)
                            if n > 0:
                                value = load_part(c, i * N + j * panel + v * W, n)
                                store(work, total + i * panel + v * W, value)
                    total += K * panel
        left = R
        while left > 0:
            rows = min(BLOCK, left)
            top = left - 1
            add = onward + R - left
            for each in range(first, last):
                own = 1 + products + each // panels * (2 + products)
                d = floats(buffers, own)
                sums = floats(buffers, own + 1)
                j = each % panels
                columns = min(panel, N - j * panel)
                if columns == panel:
BEGIN
                    if sizes[3] * add > 0:
LOAD
                    for k in range(rows):
                        at = begin + k * panel
                        from_at = (top - k) * N + j * panel
COPY
                    if sizes[3] == 1:
STORE
                else:
                    for v in range(VECTORS):
                        n = min(columns - v * W, W)
                        total = j * panel + v * W
                        if n <= 0:
                            for k in range(rows):
                                store(work, begin + k * panel + v * W, zeros())
                        else:
                            value = zeros()
                            if sizes[3] * add > 0:
                                value = load_part(sums, total, n)
                            for k in range(rows):
                                row = load_part(d, (top - k) * N + total, n)
                                store(work, begin + k * panel + v * W, row)
                                value = value + row
                            if sizes[3] == 1:
                                store_part(sums, total, value, n)
                total = begin + BLOCK * panel + (each - first) * every
                for product in range(products):
                    a = floats(buffers, 1 + product)
                    K = sizes[7 + product]
                    i = 0
                    while i < K:
                        height = tile_rows(K - i)
                        at = top * K + i
                        to = total + i * panel
                        PRODUCT(height, a, at, unit, -K, work, begin, work, to, panel, rows, add, -rows * K)
                        i += height
                    total += K * panel
            left -= rows
        for each in range(first, last):
            j = each % panels
            columns = min(panel, N - j * panel)
            total = begin + BLOCK * panel + (each - first) * every
            for product in range(products):
                c = floats(buffers, 1 + products + each // panels * (2 + products) + 2 + product)
                K = sizes[7 + product]
                for i in range(K):
                    for v in range(VECTORS):
                        n = min(columns - v * W, W)
                        if n > 0:
                            store_part(c, i * N + j * panel + v * W, load(work, total + i * panel + v * W), n)
                total += K * panel
'''

SCATTER = '''
def scatter(buffers, sizes, t0, t1, b0, b1, slot):
    """Add the rows of D [R, N] to the rows of a table that an index names, for vectors b0 to b1 of columns.

    From the last row to the first, as every sum over rows.
    """
    d = floats(buffers, 0)
    where = integers(buffers, 1)
    table = floats(buffers, 2)
    R = sizes[0]
    N = sizes[1]
    whole = min(b1, N // W) * W
    for r in range(R - 1, -1, -1):
        at = index(where, r) * N
        if b1 * W > N:
            q = N // W * W
            n = N - q
            store_part(table, at + q, load_part(table, at + q, n) + load_part(d, r * N + q, n), n)
        for q in range(whole - W, b0 * W - 1, -W):  # memory is read in one direction
            store(table, at + q, load(table, at + q) + load(d, r * N + q))
'''

PROJECT = '''
def project(buffers, sizes, t0, t1, b0, b1, slot):
    """Multiply rows b0 to b1 of A [R, K] with packed columns, as a tile would: row, panel, column of the tile, lane.

    buffers: A, the packed matrices, the result; sizes: K, panels, registers of a panel, whether to go on from it.
    """
    a = floats(buffers, 0)
    packed = floats(buffers, 1)
    c = floats(buffers, 2)
    K = sizes[0]
    total = sizes[2]
    row = sizes[1] * total * W
    add = sizes[3]
    unit = np.int64(1)
    off = np.int64(0)
    for j in range(sizes[1]):
        first = np.int64(0)
        while first < total:
            at = (j * total + first) * W
            r = b0
            while r < b1:
                rows = tile_rows(b1 - r)
ACROSS
                r += rows
            first += VECTORS
'''

SIDE_BY_SIDE = {  # word of OVER_ROWS -> depth and text of what is done with each register of a panel
    "BEGIN": (20, "value{v} = zeros()"),
    "LOAD": (24, "value{v} = load(sums, j * panel + {v} * W)"),
    "COPY": (
        24,
        "row{v} = load(d, from_at + {v} * W)\nstore(work, at + {v} * W, row{v})\nvalue{v} = value{v} + row{v}",
    ),
    "STORE": (24, "store(sums, j * panel + {v} * W, value{v})"),
}
TURNS_BYTES = 1 << 19  # of results of products that lie in the second cache beside the rows that they are sums of
BLOCK = 64  # rows of D that are copied side by side, into the first cache, before they are multiplied


@cache
def support_source(name: str, target: Machine) -> str:
    """Return the source of one of the kernels that serve every cell: pack, project, over_rows, scatter."""
    texts = {"pack": PACK, "project": PROJECT, "over_rows": OVER_ROWS, "scatter": SCATTER}
    arguments = "rows, a, r * K, K, unit, packed, at * K, c, r * row + at, row, K, add, off"
    wide = [f"{product_name(across)}({arguments})" for across in range(target.vectors, 0, -1)]
    lines = [f"{'el' * bool(n)}if total - first >= {target.vectors - n}:\n    {call}" for n, call in enumerate(wide)]
    text = texts[name].replace("ACROSS", indent("\n".join(lines), " " * 16))
    for word, (depth, pattern) in SIDE_BY_SIDE.items():
        lines = [pattern.format(v=v) for v in range(target.vectors)]
        text = text.replace(f"{word}\n", indent("\n".join(lines), " " * depth) + "\n")
    text = text.replace("PRODUCT", product_name(target.vectors))
    return text.replace("VECTORS", str(target.vectors)).replace("BLOCK", str(BLOCK)).lstrip("\n")


def over_rows_turns(target: Machine, K: int) -> int:
    """Return how many panels take turns at the same rows, for products of K columns in all: as the cache holds."""
    size = 4 if target.dtype == "float32" else 8
    return max(1, TURNS_BYTES // max(K * target.vectors * target.width * size, 1))


def over_rows_work(target: Machine, K: int, turns: int) -> int:
    """Return the elements of working memory that `over_rows` needs for each slot."""
    return (BLOCK + K * turns) * target.vectors * target.width
