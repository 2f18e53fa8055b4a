"""YAML without its traps: what it would drop, or read as something else than it looks like, is refused in words."""

import re
from pathlib import Path
from typing import Any

import yaml

_TEXT, _INTEGER, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "merge"))


class _RefusedError(yaml.YAMLError):
    """What YAML allows and an experiment file may not hold; the text begins with the line."""


class _Loader(yaml.SafeLoader):
    """Refuses keys that stand twice, keys that are no text, and numbers with leading zeros."""

    key_tags: tuple[str, ...] = (_TEXT,)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.tag not in self.key_tags:
                found = yaml.SafeLoader.construct_object(self, key)
                raise _RefusedError(
                    f"line {line}: found the key {key.value} without quotes, which is {found!r} to YAML; write "
                    f'"{key.value}"'
                )
            if key.value in lines:
                raise _RefusedError(
                    f"line {line}: found the key '{key.value}' a second time, after line {lines[key.value]}, "
                    "expected each once, for YAML drops the first; remove one, or give it another name"
                )
            lines[key.value] = line
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if not node.style and re.fullmatch(r"0[\d_]+", node.value):
            raise _RefusedError(
                f"line {node.start_mark.line + 1}: found {node.value} without quotes, which by its digits is a "
                "number of base 8 or a text "
                f'to YAML; write "{node.value}"'
            )
        return node


class _IntegerKeyLoader(_Loader):
    """Takes integers as keys, too."""

    key_tags = (_TEXT, _INTEGER)


def load_yaml(path: Path | str, integer_keys: bool = False) -> Any:
    """The values of a YAML file, whose keys are text, or also integers.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read, or is not UTF-8.
        yaml.YAMLError: it is no YAML, or holds what YAML would drop or read as something else; the text is one line.
    """
    try:
        loader = _IntegerKeyLoader if integer_keys else _Loader
        return loader(Path(path).read_text(encoding="utf-8")).get_single_data()
    except _RefusedError:
        raise
    except yaml.YAMLError as error:
        raise yaml.YAMLError(f"not valid YAML ({' '.join(str(error).split())})") from None
