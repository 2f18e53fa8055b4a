"""What all settings have in common."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from ignet.config.strict_yaml import load_yaml
from ignet.errors import IgnetError, reason_of


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


AS_NUMBER = BeforeValidator(_number)
"""For a choice among numbers: what stands in a mapping on Snakemake's command line arrives as text."""

LabelledPercent = Annotated[Literal[1, 10, 20, 50], AS_NUMBER]
"""Per cent of the training scans that have labels: the shares of the published lists."""


def added(default: Any, **rest: Any) -> Any:
    """A key that joined a section later, as pydantic's ``Field``, whose default means "off": null, 0, or no change.

    At its default it is left out of what identifies a result, so that results that were made before it are still
    theirs. A default that means anything else is an ordinary ``Field``: changed, it would change results and rerun
    nothing.
    """
    return Field(default, json_schema_extra=_ADDED, **rest)


_ADDED: JsonDict = {"added": True}

RENAMED = {
    ("DatasetConfig", "complete"): "require_all_scans",
    ("Pretrain2DConfig", "warmup"): "warmup_steps",
    ("Adapt2DConfig", "warmup"): "warmup_steps",
    ("Adapt2DConfig", "start"): "initial_weights",
    ("Adapt2DConfig", "class_weight"): "class_weight_power",
    ("Adapt2DConfig", "class_weight_of"): "class_weight_domain",
    ("Train3DConfig", "warmup"): "warmup_steps, a number of steps instead of a share of them",
    ("Train3DConfig", "fovmix"): "mixing: {fovmix: ...} with the same keys",
    ("FeatureConfig", "basis_frames"): "pca_frames",
    ("ImageGuidanceConfig", "distance"): "loss, with classifier_kl for 'classes' and probe_kl for 'labels'",
    ("CompareConfig", "draws"): "bootstrap_samples",
    ("ExperimentConfig", "page"): "report, whose frames are validation_frames now and whose extent is radius",
    ("ReportConfig", "frames"): "frames of the section figures",
    ("ReportConfig", "extent"): "extent of the section figures",
}
"""Class of a section and a key that it once had -> what to write now."""


class Section(BaseModel):
    """Settings of one stage: data, immutable, typed, and closed to unknown keys.

    A section validates and says what identifies a result; what its values do stands in code that a stage's identity
    covers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    def unread(self) -> frozenset[str]:
        """Keys that no stage reads while the other keys have these values; a section says so where it has such."""
        return frozenset()

    def identity(self, *left_out: str) -> dict[str, Any]:
        """What identifies a result, as plain values.

        All keys but the ``unread`` ones, those of ``added`` at their default, and some more.

        A stage takes missing keys at their defaults, so that these plain values are settings, too.

        Args:
            left_out: keys of this section that the stage in question does not read.
        """
        fields = type(self).model_fields
        off = {
            name
            for name in fields
            if fields[name].json_schema_extra == _ADDED and getattr(self, name) == fields[name].get_default()
        }
        return {name: value for name, value in self._read(Section.identity).items() if name not in off.union(left_out)}

    def read(self) -> dict[str, Any]:
        """All values that stages read, as plain values: what belongs beside a result.

        Unlike ``identity`` it holds what is off, too.
        """
        return self._read(Section.read)

    def _read(self, inner: Callable[["Section"], dict[str, Any]]) -> dict[str, Any]:
        plain, unread = self.model_dump(mode="json"), self.unread()
        sections = {name: value for name in plain if isinstance(value := getattr(self, name), Section)}
        return {
            name: inner(sections[name]) if name in sections else plain[name] for name in plain if name not in unread
        }

    def canonical(self) -> str:
        """The ``identity`` as text: equal settings give equal text."""
        return canonical_json(self.identity())


def all_but(section: Section, *keys: str) -> frozenset[str]:
    """Its keys but these: what a part that is off, but for its weight, does not read."""
    return frozenset(type(section).model_fields) - {*keys}


def canonical_json(values: Mapping[str, Any]) -> str:
    """Plain values as one line of JSON with sorted keys."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def sections_of(field: FieldInfo) -> tuple[type[Section], ...]:
    """The sections that a key may hold: one, several that their ``name`` tells apart, or none."""
    kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
    sections = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section))
    return sections if len(sections) == len(kinds) else ()


def section_named(sections: tuple[type[Section], ...], values: Any) -> type[Section] | None:
    """The section that ``values`` are for, by their ``name``; without a name the first."""
    if len(sections) == 1 or not isinstance(values, Mapping) or "name" not in values:
        return next(iter(sections), None)
    return next((each for each in sections if each.model_fields["name"].default == values["name"]), None)


S = TypeVar("S", bound=BaseModel)


def validate(section: type[S], values: Any, where: str) -> S:
    """Build ``section`` from plain values.

    Raises:
        IgnetError: one line with the first faulty key, what was found, what was expected, and where it stands.
    """
    try:
        return section.model_validate({} if values is None else values)
    except ValidationError as error:
        raise IgnetError(f"{where}: {_first_fault(section, error, values)}") from None


def read_yaml(path: Path | str, integer_keys: bool = False) -> dict[str, Any]:
    """Read a YAML mapping safely, whose keys are text, or also integers.

    Raises:
        IgnetError: the file is missing, is not YAML, holds no mapping, a key twice, or what YAML reads as something
            else than it looks like.
    """
    try:
        values = load_yaml(path, integer_keys)
    except (OSError, UnicodeDecodeError) as error:
        raise IgnetError(
            f"{path}: cannot be read ({reason_of(error)}); give the path of a configuration file"
        ) from None
    except yaml.YAMLError as error:
        raise IgnetError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise IgnetError(f"{path}: found {type(values).__name__}, expected a mapping of sections")
    return values


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``override``; nested mappings are merged key by key. Neither argument is changed."""
    merged = dict(base)
    for key, value in override.items():
        both_map = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both_map else value
    return merged


def _first_fault(section: type[BaseModel], error: ValidationError, values: Any) -> str:
    faults = error.errors()
    fault = faults[0]
    key = ".".join(str(part) for part in fault["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    if not key:  # keys that do not fit each other
        return f"{fault['msg'].removeprefix('Value error, ')}{more}"
    if fault["type"] == "extra_forbidden":
        owner = _section_at(section, fault["loc"][:-1], values)
        if owner and (now := RENAMED.get((owner.__name__, str(fault["loc"][-1])))):
            return f"key '{key}' is called something else now{more}; write {now}"
        known = ", ".join(sorted(owner.model_fields)) if owner else "see the configuration reference"
        return f"unknown key '{key}'{more}; known keys here: {known}"
    text = fault["msg"].removeprefix("Value error, ")
    return f"key '{key}': found {fault['input']!r}, {text[0].lower() + text[1:]}{more}"


def _section_at(section: type[BaseModel], location: tuple[int | str, ...], values: Any) -> type[BaseModel] | None:
    for part in location:
        field, values = section.model_fields.get(str(part)), values[part]
        inner = section_named(sections_of(field), values) if field else None
        if inner is None:
            return None
        section = inner
    return section
