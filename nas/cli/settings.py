"""The options of `search` and `resume`, made from the fields of the search configuration."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer

from .command import Command

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

GIVEN = "nas.cli.settings"  # in a context: the fields that the command line gives
TYPES = {int: "int", float: "float", str: "str", dict: "mapping", list: "list"}


class SettingsCommand(Command):
    """A command that has the fields of `SearchConfig` as options; its function finds those given by `given`.

    They are added when the command is used: what declares them takes longer to import than `evoyolo --help` may.
    """

    defaults = True  # are shown: a run that is resumed has its own

    def make_context(self, *args: Any, **extra: Any) -> Any:
        self.params += make_options(self.fields(), self.defaults)
        return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        fields = self.fields()
        values = {name: ctx.params.pop(name) for name in fields}
        ctx.meta[GIVEN] = fields, {name: value for name, value in values.items() if value not in (None, [], ())}
        return super().invoke(ctx)

    def fields(self) -> Mapping[str, FieldInfo]:
        """Name -> field, of all of the configuration."""
        from ..launch.config import SearchConfig

        return SearchConfig.model_fields


class ResumeCommand(SettingsCommand):
    """As `SettingsCommand`, of the fields that may change when a run is resumed."""

    defaults = False

    def fields(self) -> Mapping[str, FieldInfo]:
        """Name -> field, of what nothing measured depends on."""
        from ..launch.resuming import RESUMABLE

        return {name: field for name, field in super().fields().items() if name in RESUMABLE}


def given(ctx: typer.Context) -> dict[str, Any]:
    """The fields that the command line gives, with their values.

    Raises:
        InputError: a value that must be YAML and is not.
    """
    fields, values = ctx.meta[GIVEN]
    return {name: _value(name, fields[name].annotation, value) for name, value in values.items()}


def make_options(fields: Mapping[str, FieldInfo], defaults: bool) -> list[Any]:
    """One option of the library for every field: type, choices, help and (if they are to be shown) default are the field's."""

    def command(**values: Any) -> None:
        """Never called: it only carries the signature that the library makes options of."""

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, field, defaults)
            )
            for name, field in fields.items()
        ]
    )
    command.__annotations__ = {}
    scratch = typer.Typer(add_completion=False, rich_markup_mode=None)
    scratch.command()(command)
    return list(typer.main.get_command(scratch).params)


def _option(name: str, field: FieldInfo, defaults: bool) -> Any:
    """The annotation that declares the option of a field."""
    kind, default = _kind(field.annotation), field.get_default(call_default_factory=True)
    flag, shown = name.replace("_", "-"), ""
    if defaults and default is not None and default != [] and not isinstance(default, dict):
        shown = f" (default: {' '.join(map(str, default)) if isinstance(default, list) else default})"
    return Annotated[
        kind or str,
        typer.Option(
            f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
            metavar=None if kind is bool or get_origin(kind) is Literal else f"<{_label(field.annotation)}>",
            help=f"{field.description}{shown}",
            show_default=False,
        ),
    ]


def _kind(annotation: Any) -> Any:
    """The type that the library reads a field as; None for one that is YAML, as mappings and unions are."""
    members = _members(annotation)
    if len(members) == 1:
        (member,) = members
        if member is str or get_origin(member) is Literal:
            return member
        if get_origin(member) is list:
            return list[str]
        if member in (int, float, bool) and get_origin(annotation) not in (Union, UnionType):
            return member
    return None


def _members(annotation: Any) -> list[Any]:
    """The types that a value may have, but for None."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for each in get_args(annotation) for member in _members(each) if member is not NoneType]
    return [annotation]


def _label(annotation: Any) -> str:
    """What a help text calls the type: int, float|mapping, str..."""
    members = _members(annotation)
    if len(members) == 1 and get_origin(members[0]) is list:
        return f"{_label(get_args(members[0])[0])}..."
    return "|".join(TYPES.get(get_origin(member) or member, "value") for member in members)


def _value(name: str, annotation: Any, value: Any) -> Any:
    if isinstance(value, (list, tuple)):  # as one version of the library or another gives it
        texts = [text for text in value if text]  # a flag without values has an empty one
        (item,) = get_args(_members(annotation)[0])
        return texts if _kind(item) is str else [_parsed(name, text) for text in texts]
    return _parsed(name, value) if _kind(annotation) is None else value


def _parsed(name: str, text: str) -> Any:
    """What YAML makes of the text."""
    from search_spaces.yaml_text import parse_yaml

    return parse_yaml(text, f"--{name.replace('_', '-')} {text}", numbered=False)
