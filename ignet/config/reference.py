"""The configuration reference, generated from the settings: ``python -m ignet.config.reference [FILE ...]``."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ignet.config.backbones import LocalContextConfig
from ignet.config.base import sections_of
from ignet.config.evaluation import Control, Statement
from ignet.config.execution import StageResources
from ignet.config.experiment import ExperimentConfig
from ignet.config.teachers import TEACHER_CONFIGS, HeadConfig
from ignet.files.atomic import write_text

HEAD = """\
# Configuration reference

*Generated from the classes in `ignet/config` by `make docs`. Do not edit it by hand.*

An experiment is a YAML file with the keys below; a heading such as `train_3d.backbone` is the mapping `backbone` in
the mapping `train_3d`. Only `results` and `runs` are required. Unknown keys and invalid values are rejected in one
line that names the key, before anything runs. Several files after one `--configfile` are merged key by key, later
files override earlier ones (a repeated option is refused, because Snakemake would drop the first); `null` removes an
entry of `runs`, `adaptations` or `teachers`, and with it the controls and statements that name it, and keys of
`train_3d.backbone` that the network named there lacks.

**Where a value comes from.** A meaning that ends with a name in parentheses, such as (DAFormer: 0.01), has the value of
that publication; the default may differ. **A default without such a name is this project's own choice**, whether or
not the meaning says so. Units come first in the meaning; a key without a unit is a count, a share or a factor.
[method.md](method.md) names the source of each part of the method.

[Examples](#examples) of whole files are at the end. Their first line names the JSON schema beside this
page, by which an editor with a YAML language server completes and checks keys.
"""

TAIL = """
## Examples

| file | is |
|---|---|
| `config/demo.yaml` | the shortest: full supervision, baseline and method on the embedded world |
| `config/tiny.yaml` | most rules in a minute, for tests; nothing is learned |
| `config/ablation.yaml` | what each part of the method adds: [ablation.md](ablation.md) |
| `config/semi.yaml` | labels on a share of the scans: [semi-supervision.md](semi-supervision.md) |
| `config/kitti-sample.yaml` | a few real frames; `dataset.root: required` asks for the folder on the command line |
| `config/scribblekitti.yaml`, `config/semantickitti-semi.yaml` | the paper's scale: [reproducing.md](reproducing.md) |
| `config/backbones/*.yaml` | a published 3D network each, to be merged over one of the above |
"""

# keys whose values are mappings or lists of a section of their own
PARTS: dict[str, dict[str, type[BaseModel]]] = {
    "teachers": {
        **{f"teachers.NAME, kind {kind}": section for kind, section in TEACHER_CONFIGS.items()},
        "teachers.NAME.head": HeadConfig,
    },
    "train_3d.backbone.local_context": {"train_3d.backbone.local_context": LocalContextConfig},
    "compare.controls": {"compare.controls[]": Control},
    "compare.statements": {"compare.statements[]": Statement},
    "execution.stages": {"execution.stages.RULE": StageResources},
}


def reference() -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD, *_tables("", ExperimentConfig, "The experiment itself."), TAIL.lstrip("\n")])


def keys(
    section: type[BaseModel] = ExperimentConfig, path: str = "", last: bool = True
) -> Iterator[tuple[str, FieldInfo]]:
    """Path and field of every key that is no section, sections within sections included.

    Where a name chooses the section, those of each; parts that they share stand with the last.
    """
    for name, field in section.model_fields.items():
        inner = sections_of(field)
        for each in inner:
            yield from keys(each, f"{path}{name}.", each is inner[-1])
        if not inner:
            yield f"{path}{name}", field
        for shown, part in PARTS.get(path + name, {}).items() if last else ():
            yield from keys(part, f"{shown}.")


def _tables(path: str, section: type[BaseModel], text: str, choice: str = "", last: bool = True) -> Iterator[str]:
    """Heading and table of a section, then those of the sections in it."""
    schema = section.model_json_schema()
    plain = {name: field for name, field in section.model_fields.items() if not sections_of(field)}
    level = "##" if "." not in path else "###"
    yield f"{level} {f'`{path}`{choice}' if path else 'Top level'}\n\n{text}\n"
    yield "| key | values | default | meaning |\n|---|---|---|---|"
    for name, field in plain.items():
        values = _values(schema["properties"][name])
        yield f"| `{name}` | {values} | {_default(field)} | {_cell(field.description or '')} |"
    yield ""
    for name, field in section.model_fields.items():
        inner, below = sections_of(field), f"{path}.{name}".lstrip(".")
        for each in inner:
            choice = f", name `{each.model_fields['name'].default}`" if len(inner) > 1 else ""
            yield from _tables(below, each, _words(each), choice, each is inner[-1])
        for shown, part in PARTS.get(below, {}).items() if last else ():
            yield from _tables(shown, part, _words(part))


def _words(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split()).replace("``", "`")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*to be given*"
    value = field.get_default(call_default_factory=True)
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _values(schema: dict[str, Any]) -> str:
    """Allowed values in words."""
    if "anyOf" in schema:
        return " or ".join(_values(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "pattern" in schema:
        words = re.fullmatch(r"\^\(([\w|]+)\)\$", schema["pattern"])
        return ", ".join(f"`{word}`" for word in words[1].split("|")) if words else "text, as the meaning says"
    if "$ref" in schema:
        return "mapping, below"
    match schema["type"]:
        case "array":
            return _list(schema)
        case "object":
            inner = schema["additionalProperties"]
            return "mapping of names to mappings" + (", below" if "$ref" in inner else "")
        case "integer" | "number" as kind:
            return " ".join(["whole number" if kind == "integer" else "number", _limits(schema)]).strip()
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
        case _:
            return "text"


def _list(schema: dict[str, Any]) -> str:
    """A list of fixed length has its items in ``prefixItems``, any other one in ``items``."""
    items = schema.get("prefixItems") or [schema["items"]]
    if "$ref" in items[0]:
        return "list of mappings, below"
    words = {"array": "pairs of whole numbers", "string": "texts"}.get(items[0]["type"]) or _values(items[0]).replace(
        "number", "numbers"
    )
    least = ", not empty" if schema.get("minItems") else ""
    return f"{len(items)} {words}" if "prefixItems" in schema else f"list of {words}{least}"


def _limits(schema: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def schema() -> str:
    """JSON schema of an experiment file, for editors: runs and adaptations are what may differ in them, or null.

    A teacher is one of its kinds, or null.
    """
    values = ExperimentConfig.model_json_schema()
    parts, sections = values["$defs"], values["properties"]
    for name, part in (("runs", "Train3DConfig"), ("adaptations", "Adapt2DConfig")):
        entry = {**parts[part], "title": name}
        if name == "runs":
            entry["properties"] = {**entry["properties"], "seeds": sections["seeds"]}
        sections[name]["additionalProperties"] = {"anyOf": [entry, {"type": "null"}]}
    kinds = [section.model_json_schema() for section in TEACHER_CONFIGS.values()]
    for kind in kinds:
        parts |= kind.pop("$defs", {})
    sections["teachers"]["additionalProperties"] = {"anyOf": [*kinds, {"type": "null"}]}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **values}, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or into a .json file the schema, to each of the files named; without any print the page."""
    for name in arguments:
        write_text(name, schema() if name.endswith(".json") else reference())
    if not arguments:
        print(reference(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
