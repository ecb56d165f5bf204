"""Values that nothing expects, and damage done to what is right."""

from __future__ import annotations

from hypothesis import strategies as st

NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([-10**9, 10**9, 2**31, 2**63, 10**400]), st.floats())
TEXTS = st.one_of(st.sampled_from(['', 'x', '../../x.jpg', '/etc/passwd', 'a\nb', '\0', '1', 'nan', '\ud800', '<b>']),
                  st.text(max_size=5))
VALUES = st.recursive(st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS), lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)), max_leaves=4)
# Where in a tree what changes: a number for each level, taken modulo what there is.
PLACES = st.lists(st.integers(0, 40), min_size=1, max_size=4)
ACTIONS = st.one_of(st.just(('delete', )), st.just(('double', )), st.tuples(st.just('set'), VALUES))
CHANGES = st.lists(st.tuples(PLACES, ACTIONS), max_size=3)
DAMAGE = st.lists(st.tuples(st.sampled_from(['flip', 'cut', 'insert', 'remove', 'zero']), st.floats(0, 1),
                            st.integers(0, 255)), max_size=4)


def changed(tree: object, changes: list) -> object:
    """A tree of dicts and lists with changes in it, made in place."""
    for place, (action, *value) in changes:
        node = tree
        for depth, number in enumerate(place):
            if not isinstance(node, (dict, list)) or not node:
                break
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = keys[number % len(keys)]
            if depth < len(place) - 1 and isinstance(node[key], (dict, list)) and node[key]:
                node = node[key]
                continue
            if action == 'delete':
                del node[key]
            elif action == 'double' and isinstance(node, list):
                node.append(node[key])
            else:
                node[key] = value[0] if value else None
            break
    return tree


def damaged(content: bytes, damage: list) -> bytes:
    """Bytes with damage done to them; each place is a share of the length."""
    data = bytearray(content)
    for way, share, value in damage:
        place = min(int(share * len(data)), max(len(data) - 1, 0))
        if way == 'cut':
            del data[place:]
        elif way == 'insert':
            data[place:place] = bytes([value]) * 3
        elif way == 'remove':
            del data[place:place + 1 + value % 16]
        elif way == 'zero':
            data[place:place + 1 + value] = bytes(len(data[place:place + 1 + value]))
        elif data:
            data[place] ^= value or 1
    return bytes(data)
