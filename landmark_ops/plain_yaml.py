"""YAML as data: a loader that constructs nothing, and refuses what YAML itself would silently drop."""

from __future__ import annotations

from typing import Any

import yaml

# What PyYAML raises: its own errors, and those of the Python types it builds (the date 2024-13-01, nesting too deep).
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, RecursionError)


class UniqueKeys(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error: YAML itself would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As SafeLoader does, after looking for repeated keys."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)
