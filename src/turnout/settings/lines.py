"""Where in a settings file a field stands, so that what is wrong with it can be found."""

from __future__ import annotations

import re

import yaml

STEP = re.compile(r"[^.\[\]]+|\[\d+\]")
"""One step of a path as errors name it."""


def line_of(text: str, field: str) -> int | None:
    """The line of a field, or of the deepest part of its path that is there; None where none is.

    Args:
        text: YAML.
        field: as errors name it, such as `candidates[1].price.input_usd`.

    Returns:
        From 1.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    found = None
    for step in STEP.findall(field):
        below = _below(node, step)
        if below is None:
            break
        at, node = below
        found = at.start_mark.line + 1
    return found


def _below(node: yaml.Node | None, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that names a step, and the one that is its value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == step:
                return key, value
    if isinstance(node, yaml.SequenceNode) and step.startswith("["):
        index = int(step[1:-1])
        if index < len(node.value):
            return node.value[index], node.value[index]
    return None
