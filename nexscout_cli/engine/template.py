"""A template: a prompt with parameters, and the options that it is asked with. Pure.

``$name`` stands for a parameter, ``$input`` for what is given on the command line, ``$$`` for a dollar sign.
"""

from __future__ import annotations

from string import Template as Text
from typing import NamedTuple

from nexscout_cli.engine import option_names
from nexscout_cli.engine.chat_options import concise, format_for
from nexscout_cli.engine.names import check_feature
from nexscout_cli.engine.options import OPTIONS, check, default_of, from_json
from nexscout_cli.engine.request import AIRequest, Json
from nexscout_cli.errors import UsageError

FIELDS = ("prompt", "system", "model", "feature", "schema", "defaults", "options")
"""What a template may say."""
_FROM_LLM = {"schema_object": "schema", "name": None}
"""Fields of llm's templates that are called otherwise here; None: of no use."""
_OWN = {"system": "system", "model": "force_model", "schema": "response_format"}
"""Options that are fields of their own."""
_NEVER = ("idempotency_key", "skip_energy_charge")
_INPUT = "input"


class Template(NamedTuple):
    """``options``: values by the names of Options. ``defaults``: what parameters are where nothing else is said."""

    name: str
    prompt: str
    feature: str | None
    options: dict[str, Json]
    defaults: dict[str, str]

    @property
    def system(self) -> str:
        """Its system text; empty where there is none."""
        return str(self.options.get("system") or "")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters in the order in which they first stand there, without the input."""
        found = [*Text(self.prompt).get_identifiers(), *Text(self.system).get_identifiers()]
        return tuple(name for name in dict.fromkeys(found) if name != _INPUT)

    @property
    def takes_input(self) -> bool:
        """Whether it cannot do without an input: it says where that stands, or has no prompt of its own."""
        return not self.prompt or _INPUT in (*Text(self.prompt).get_identifiers(), *Text(self.system).get_identifiers())


def parse(value: Json, name: str) -> Template:
    """The template of a TOML or YAML document. A document of text alone is its prompt, as llm has it.

    Raises UsageError that names the field that is wrong.
    """
    where = f"template {name}"
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise UsageError(f"{where} is no table of fields", f"fields: {', '.join(FIELDS)}")
    said = {_FROM_LLM.get(field, field) or "": one for field, one in value.items() if one is not None}
    said.pop("", None)
    if unknown := sorted(str(field) for field in said if field not in FIELDS):
        raise UsageError(f"{where}: {unknown[0]:.60} is not known", f"fields: {', '.join(FIELDS)}")
    for field in ("prompt", "system", "model", "feature"):
        if not isinstance(said.get(field, ""), str):
            raise UsageError(f"{where}: {field} is text", "put it in quotes")
    if said.get("feature"):
        try:
            check_feature(said["feature"])
        except UsageError as error:
            raise UsageError(f"{where}: {error.message}", error.suggestion) from error
    options = _options(said.get("options") or {}, where)
    options |= {own: said[field] for field, own in _OWN.items() if field in said and field != "schema"}
    if "schema" in said:
        options["response_format"] = _schema(said["schema"], where)
    template = Template(name, said.get("prompt", ""), said.get("feature"), options, _defaults(said, where))
    if not (template.prompt or template.options or template.feature):
        raise UsageError(f"{where} says nothing", "give it a prompt, a system text or options")
    for text in (template.prompt, template.system):
        if not Text(text).is_valid():
            raise UsageError(f"{where}: a $ stands before no parameter's name", "write $$ for a dollar sign")
    return template


def filled(template: Template, given: str | None, params: dict[str, str]) -> tuple[str, dict[str, Json]]:
    """The prompt, and the options, with the parameters put in. ``given``: the input.

    Raises UsageError that names a parameter that is missing, or that the template does not have.
    """
    known = template.parameters
    if unknown := [name for name in params if name not in known]:
        has = f"it has: {', '.join(known)}" if known else "it has no parameters; $name in its text makes one"
        raise UsageError(f"template {template.name} has no parameter {unknown[0]!r:.60}", has)
    values = {name: value for name, value in (template.defaults | params).items() if name in known}
    if missing := [name for name in known if name not in values]:
        raise UsageError(f"template {template.name} needs the parameter {missing[0]}", f"add -p {missing[0]}=VALUE")
    if template.takes_input:
        if given is None:
            raise UsageError(f"template {template.name} needs an input", "give a PROMPT, or pipe one in")
        values[_INPUT] = given
    prompt = Text(template.prompt).substitute(values)
    if given is not None and not (template.takes_input and template.prompt):
        prompt = f"{prompt}\n\n{given}" if prompt else given
    options = dict(template.options)
    if template.system:
        options["system"] = Text(template.system).substitute(values)
    return prompt, options


def applied(options: dict[str, Json], request: AIRequest) -> AIRequest:
    """The request with a template's options, where it does not say otherwise."""
    said = request.options
    chosen = said.force_model is not None or said.mode is not None
    more = {
        name: value
        for name, value in options.items()
        if getattr(said, name) == default_of(OPTIONS[name]) and not (chosen and name in ("force_model", "mode"))
    }
    return request._replace(options=said._replace(**more))


def _options(given: Json, where: str) -> dict[str, Json]:
    if not isinstance(given, dict):
        raise UsageError(f"{where}: options is a table", "for instance max_tokens = 200 under [options]")
    values = {}
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is None or name in _NEVER or name in _OWN.values():
            near = option_names.nearest(str(name))
            instead = near is not None and near not in (*_NEVER, *_OWN.values(), name)
            raise UsageError(
                f"{where}: there is no option {name!r:.60}",
                f"did you mean {near}?"
                if instead
                else f"system, model and schema are fields of their own: {', '.join(FIELDS)}",
            )
        values[name] = from_json(option, value, f"{where}: option {name}")
    return values


def _schema(given: Json, where: str) -> Json:
    form = format_for(concise(given) if isinstance(given, str) else given) if isinstance(given, str | dict) else None
    check(OPTIONS["response_format"], form, f"{where}: schema")
    return form


def _defaults(said: dict[str, Json], where: str) -> dict[str, str]:
    given = said.get("defaults") or {}
    if not isinstance(given, dict) or not all(isinstance(one, str | int | float) for one in given.values()):
        raise UsageError(f"{where}: defaults is a table of texts", 'for instance words = "50" under [defaults]')
    return {str(name): str(value) for name, value in given.items()}
