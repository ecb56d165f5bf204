"""Plots as inline SVG, drawn by matplotlib without pyplot. Text stays text, and nothing is loaded from elsewhere."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from mmext.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

BLUE, ORANGE, *_ = COLOURS
GREY = '#6b7280'
STYLE: dict[RcKeyType, Any] = {
    'svg.fonttype': 'none', 'font.family': 'DejaVu Sans', 'font.size': 10, 'axes.titlesize': 10,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.edgecolor': '#9ca3af', 'axes.labelcolor': '#374151',
    'axes.grid': True, 'axes.axisbelow': True,
    'grid.color': '#e5e7eb', 'text.color': '#1f2937', 'xtick.color': '#4b5563', 'ytick.color': '#4b5563',
    'legend.frameon': False, 'figure.facecolor': 'none', 'axes.facecolor': 'none', 'savefig.facecolor': 'none',
    'path.simplify_threshold': 0.05, 'text.parse_math': False, 'axes.formatter.useoffset': False,
}
NO_METADATA = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))


def inline_svg(name: str, alt: str, size: tuple[float, float], paint: Callable[[Figure], None],
               grow: float = 1.5) -> Markup:
    """One plot as an <svg> element that fits the width it is given.

    Args:
        name: unique on the page; the ids inside the element start with it.
        alt: what the plot shows, for readers who do not see it.
        size: (width, height) in CSS pixels.
        paint: draws into an empty figure.
        grow: up to how many times its width the element may grow if there is room.
    """
    buffer = io.StringIO()
    with rc_context({**STYLE, 'svg.hashsalt': name}), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing')  # the browser draws the text, with another font
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), layout='constrained')
        paint(figure)
        figure.savefig(buffer, format='svg', metadata=NO_METADATA)
    text = buffer.getvalue()
    body = re.sub(r'<style.*?</style>', '', text[text.index('>', text.index('<svg')) + 1:])  # else for the whole page
    box = re.search(r'viewBox="([^"]+)"', text)
    assert box is not None, 'matplotlib writes a viewBox'
    opening = (f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="{box[1]}" '
               f'style="max-width:{round(size[0] * grow)}px">')
    return Markup(opening + shorten_paths(own_ids(body, name)))


def own_ids(body: str, name: str) -> str:
    """Removes ids that are not used, and prefixes the others, because ids must be unique on the whole page."""
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in used else '', body)
    return re.sub(r'(url\(#|href="#)', rf'\g<1>{name}-', body)


def shorten_paths(body: str) -> str:
    """Cuts coordinates of paths to hundredths of a pixel, and removes indentation."""
    body = re.sub(r' d="[^"]+"', lambda match: re.sub(r'(\.\d\d)\d+', r'\1', match[0]), body)
    return re.sub(r'\n\s*', '\n', body)
