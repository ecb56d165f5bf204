"""List, class and label files of videos: what was written is read, and anything else is refused.

Oracle: the entries that were written.
"""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from mmext.data.video.lists import read_classes, read_frame_list, read_list, read_something, read_templates
from tests.soak.cases.junk import CHANGES, changed

ALLOWED = ()
NAMES = st.text(st.characters(codec='utf-8', exclude_categories=('Cc', 'Cs', 'Zl', 'Zp', 'Zs')), min_size=1, max_size=8)
ENTRIES = st.lists(st.tuples(NAMES, st.integers(1, 99), st.integers(0, 9)), min_size=1, max_size=4)
TEMPLATES = {'Pushing something': '0', 'Holding something': '1'}
draw = st.one_of(
    st.tuples(st.just('videos'), ENTRIES, st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16']),
              st.sampled_from(['\n', '\r\n', '\r'])),
    st.tuples(st.just('frames'), ENTRIES, st.sampled_from(['utf-8', 'utf-16']), st.just('\n')),
    st.tuples(st.just('text'), st.one_of(st.binary(max_size=40), st.text(' 0-1x\n\t.', max_size=20).map(str.encode))),
    st.tuples(st.just('something'), CHANGES))


def check(example: tuple, folder: Path) -> None:
    kind, content, *more = example
    path = folder / 'list.txt'
    if kind in ('videos', 'frames'):
        encoding, newline = more
        entries = content if kind == 'frames' else [(name, label) for name, _, label in content]
        text = newline.join(' '.join(map(str, entry)) for entry in entries)
        path.write_bytes(text.encode(encoding))
        found = read_frame_list(path, 10) if kind == 'frames' else read_list(path, 10)
        assert found == entries, f'{found} is read of {entries}'
    elif kind == 'text':
        path.write_bytes(content)
        for read in (read_list, read_frame_list, read_classes):
            refused_or(read, path)
        entries = read_list(path)
        assert all(name and type(label) is int and label >= 0 for name, label in entries), entries
    else:
        labels = changed(dict(TEMPLATES), content)
        path.write_text(json.dumps(labels))
        classes = read_templates(path)
        path.write_text(json.dumps(changed([dict(id='1', template='Pushing [something]'),
                                            dict(id=2, template='Holding something')], content)))
        assert all(0 <= label < len(classes) for _, label in read_something(path, classes))


def refused_or(read: object, path: Path) -> None:
    from mmext.errors import UserError
    try:
        read(path)
    except UserError as error:
        assert '\n' not in str(error), str(error)
