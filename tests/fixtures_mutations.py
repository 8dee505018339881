"""JSON in which one place is wrong."""

from __future__ import annotations

import copy

from hypothesis import strategies as st

BAD = (None, True, -1, 0, 1.5, 2**40, 10**40, 1e300, "x", "", [], {}, [[]], float("nan"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def places(value, path=()):
    """Every place in a value of JSON."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    for key, child in enumerate(value) if isinstance(value, list) else children:
        yield from places(child, (*path, key))


@st.composite
def mutated(draw, value):
    """A value of JSON in which one place is replaced, removed or added to."""
    value = copy.deepcopy(value)
    path = draw(st.sampled_from(sorted(places(value), key=str)))
    new = draw(st.sampled_from(BAD) | JSON)
    if not path:
        return new
    *above, key = path
    parent = value
    for step in above:
        parent = parent[step]
    how = draw(st.sampled_from(("replace", "remove", "add")))
    if how == "replace":
        parent[key] = new
    elif how == "remove":
        del parent[key]
    elif isinstance(parent, dict):
        parent["more"] = new
    else:
        parent.append(new)
    return value
