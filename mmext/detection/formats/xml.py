"""Reads XML safely, and writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmext.compat import installed
from mmext.errors import UserError

Element = Any  # xml.etree's; its module must not parse anything here


def read_xml(path: Path, root: str) -> Element:
    """The root element of an XML file. Document types, and with them entities, are refused.

    Args:
        path: of the file.
        root: the name that the root element must have.

    Raises:
        UserError: the file is missing, is not XML or has another root; or defusedxml is not installed.
    """
    if not installed('defusedxml'):
        raise UserError('reading XML needs defusedxml; pip install defusedxml')
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    try:
        element = parse(path, forbid_dtd=True).getroot()
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    except DefusedXmlException:
        raise UserError(f'{path}: has a document type or entities, which annotations do not need and which are not '
                        'read') from None
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f'{path}: not XML, or cut short ({error})') from None
    if element is None or element.tag != root:
        raise UserError(f'{path}: its root element is {element.tag if element is not None else "missing"}, not {root}')
    return element


def to_text(element: Element) -> str:
    """An element as an indented XML document."""
    from xml.etree import ElementTree

    ElementTree.indent(element)
    return ElementTree.tostring(element, 'unicode', xml_declaration=False) + '\n'


def child_text(element: Element, tag: str, where: str) -> str:
    """The text of a child element. Raises a UserError if there is none."""
    text = element.findtext(tag)
    if text is None or not text.strip():
        raise UserError(f'{where}: no <{tag}>')
    return text.strip()
