"""The SVG text of a figure made fit for readers: a title and a description, tooltips as titles, its size."""

import html
import re

_TIP = re.compile(
    r'(<g id="[^"]*" class="(?:node|edge)[^"]*">\s*<title>)[^<]*(</title>\s*<g id="[^"]*"><a xlink:title=")([^"]*)(")'
)
_TITLE = re.compile(r'(<g id="[^"]*" class="graph"[^>]*>\s*)<title>[^<]*</title>\s*')
_SIZE = re.compile(r'<svg width="([\d.]+)(\w*)" height="([\d.]+)(\w*)"')


def readable(svg: str, title: str, description: str, scale: float = 1.0) -> str:
    """Return the SVG text with what a screen reader and a pointer need.

    Parameters
    ----------
    svg : str
        As an engine wrote it.
    title, description : str
        What the figure is called, and what it shows.
    scale : float
        How many times larger it is shown.

    Notes
    -----
    An engine writes a node's name as its ``<title>``, which browsers show before the tooltip; here both say the same.
    """
    name = _word(title)
    head = (
        f'<title id="{name}-title">{html.escape(title)}</title>\n'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>\n'
    )
    svg = _TITLE.sub(r"\1", svg, count=1)
    svg = _TIP.sub(lambda found: found[1] + found[3] + found[2] + found[3] + found[4], svg)
    opening = re.search(r"<svg\b[^>]*>", svg)
    if opening is None:
        return svg
    tag = opening[0].removesuffix(">") + f' role="img" aria-labelledby="{name}-title {name}-desc">'
    tag = _SIZE.sub(lambda found: _scaled(found, scale), tag)
    return svg[: opening.start()] + tag + "\n" + head + svg[opening.end() :].lstrip("\n")


def _word(text: str) -> str:
    """Return a text as a word that may stand in an id."""
    return re.sub(r"[^\w-]+", "-", text).strip("-") or "figure"


def _scaled(found: re.Match[str], scale: float) -> str:
    width, height = float(found[1]) * scale, float(found[3]) * scale
    return f'<svg width="{width:g}{found[2]}" height="{height:g}{found[4]}"'
