"""A page of a report, as a browser's parser sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {'meta', 'img', 'path', 'use', 'image', 'link', 'br', 'rect'}


class Page(HTMLParser):
    """Tables by their id as rows of cells, every tag with its attributes, the text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.table = self.cell = None
        self.text = ''
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list) -> None:
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'table':
            self.table = self.tables.setdefault(attributes['id'], [])
        elif tag == 'tr':
            self.table.append([])
        elif tag in ('td', 'th'):
            self.table[-1].append('')

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag == 'table':
            self.table = None

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ('style', 'script'):
            self.text += data
        if self.table and self.table[-1] and {'td', 'th'} & set(self.open):
            self.table[-1][-1] += data

    def rows(self, table: str) -> list[list[str]]:
        """Without the head."""
        return self.tables[table][1:]

    def assert_self_contained(self) -> None:
        """Everything is closed, and nothing is loaded from elsewhere."""
        assert not self.open
        for tag, attributes in self.tags:
            assert tag not in ('link', 'iframe', 'object', 'embed', 'base'), tag
            for name in ('src', 'href', 'xlink:href', 'srcset', 'data', 'action', 'poster'):
                assert attributes.get(name, '#').startswith(('#', 'data:image/')), (tag, name, attributes[name][:80])
        assert not [attributes for tag, attributes in self.tags if tag == 'script' and attributes]
        assert '@import' not in self.source and not re.search(r'url\((?!#)', self.source)
        assert 'http://' not in self.source
        policies = [attributes.get('content', '') for tag, attributes in self.tags if tag == 'meta']
        assert any("default-src 'none'" in policy for policy in policies)

    def assert_references(self) -> None:
        """No id is there twice, and every reference has a target."""
        ids = [attributes['id'] for _, attributes in self.tags if 'id' in attributes]
        assert len(set(ids)) == len(ids)
        used = {value[1:] for _, attributes in self.tags for name, value in attributes.items() if name.endswith('href')
                and value.startswith('#')}
        used |= {match for _, attributes in self.tags for value in attributes.values()
                 for match in re.findall(r'url\(#([^)]+)\)', value or '')}
        assert used <= set(ids)
