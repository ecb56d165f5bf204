"""The HTML of a page, from the template of a task and the frame that all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmext.compat import installed
from mmext.errors import UserError
from mmext.files import require_writable, write_text
from mmext.text import printable

FILE_NAME = 'index.html'
TEMPLATES = Path(__file__).parent / 'template'
LIBRARIES = ('jinja2', 'matplotlib')


def require_report(folder: str | Path, libraries: Sequence[str] = (), option: str = '--report') -> None:
    """Checks that a report can be written.

    Args:
        folder: is created if it does not exist.
        libraries: those that the page needs besides ``LIBRARIES``.
        option: the option that names the folder, for the message.

    Raises:
        UserError: a library is not installed, or the folder is not writable.
    """
    absent = [name for name in (*libraries, *LIBRARIES) if not installed(name)]
    if absent:
        raise UserError(f'{option}: needs {" and ".join(absent)}; pip install {" ".join(absent)}')
    require_writable(folder, option)


def percent(value: float | None) -> str:
    """A fraction of 1 in percent, '69.44'; '–' if there is nothing to measure."""
    return '–' if value is None or value < 0 else f'{100 * value:.2f}'


def points(value: float | None, other: float | None) -> str:
    """The difference of two fractions in percentage points, '+1.54'; '–' if one of them is not there."""
    if value is None or other is None or min(value, other) < 0:
        return '–'
    return f'{100 * (value - other):+.2f}'.replace('-', '−')


def render(templates: Path, title: str, **values: object) -> str:
    """The HTML of a page. All text is escaped.

    Args:
        templates: the folder with the task's ``page.html``, which extends ``frame.html``.
        title: the heading.
        values: what the template shows.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader([templates, TEMPLATES]), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, printable=printable)
    return environment.get_template('page.html').render(title=printable(title), **values) + '\n'


def write_page(folder: str | Path, page: str) -> Path:
    """Writes a page as ``index.html`` into a folder, atomically; returns the file."""
    path = Path(folder) / FILE_NAME
    write_text(path, page)
    return path
