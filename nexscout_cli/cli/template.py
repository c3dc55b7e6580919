"""``nexscout template``: prompts with parameters, kept as files."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from nexscout_cli import templates
from nexscout_cli.cli import choices, declared, output, tables
from nexscout_cli.cli.templating import pairs
from nexscout_cli.engine import option_names, options
from nexscout_cli.errors import NexScoutError, UsageError

app = declared.App(no_args_is_help=True)

Name = Annotated[str, declared.Argument(metavar="NAME", help="The template's name.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]
_BEGINS = 60


@app.callback()
def template() -> None:
    """Keep prompts with parameters, and the options that they are asked with.

    \b
    nexscout template add summary 'Summarise in $words words: $input' --default words=50
    nexscout run -t summary -p words=20 @letter.txt
    nexscout template list
    nexscout template edit summary
    """


@app.command()
def add(
    name: Name,
    prompt: Annotated[
        str | None,
        declared.Argument(metavar="PROMPT", help="The prompt; $name is a parameter, $input what run is given."),
    ] = None,
    system: Annotated[str | None, declared.Option("--system", help="System text for the model.")] = None,
    feature: Annotated[str | None, declared.Option("-f", "--feature", help="What its requests are for.")] = None,
    model: Annotated[str | None, declared.Option("-m", "--model", help="Use this model, or this mode.")] = None,
    schema: Annotated[
        str | None, declared.Option("--schema", help="Answer as JSON: the fields in a line, or a JSON schema's file.")
    ] = None,
    default: Annotated[
        list[str] | None,
        declared.Option("--default", metavar="KEY=VALUE", help="A parameter's value where none is given."),
    ] = None,
    option: Annotated[
        list[str] | None,
        declared.Option("-o", "--option", metavar="KEY=VALUE", help="An option by its name in a batch."),
    ] = None,
    from_: Annotated[
        str | None, declared.Option("--from", metavar="FILE", help="Read a TOML file, or a YAML file as llm has them.")
    ] = None,
    force: Annotated[bool, declared.Option("--force", help="Replace the template that has this name.")] = False,
) -> int:
    """Add a template.

    \b
    nexscout template add summary 'Summarise in $words words: $input' --default words=50
    nexscout template add reply --system 'You answer for $company' -f ai_message -o max_tokens=300
    nexscout template add old --from ~/.config/io.datasette.llm/templates/old.yaml
    """
    fields: dict[str, Any] = templates.fields_of(Path(from_).expanduser()) if from_ is not None else {}
    said = {"prompt": prompt, "system": system, "model": model, "feature": feature, "schema": _schema(schema)}
    fields |= {field: value for field, value in said.items() if value is not None}
    if default:
        fields["defaults"] = fields.get("defaults", {}) | pairs(default, "--default")
    if option:
        fields["options"] = fields.get("options", {}) | _options(option)
    if templates.path_of(name).exists() and not force:
        raise UsageError(
            f"there is a template {name!r} already", "add --force to replace it, or `nexscout template edit`"
        )
    path = templates.save(name, templates.written(fields))
    if output.stderr_is_terminal():
        output.note(f"template {name} is at {path}")
    return 0


@app.command("list")
def list_(as_json: AsJson = False) -> int:
    """List the templates with their parameters.

    \b
    nexscout template list
    nexscout template list --json
    """
    rows = []
    for name in templates.names():
        try:
            found = templates.load(name)
        except NexScoutError as error:
            rows.append({"name": name, "parameters": [], "begins": "", "error": error.message})
        else:
            begins = " ".join((found.prompt or found.system).split())
            rows.append({"name": name, "parameters": list(found.parameters), "begins": begins, "error": None})
    if as_json:
        output.emit({"rows": rows})
        return 0
    tables.show(
        ("name", "parameters", "begins"),
        [
            [row["name"], ", ".join(row["parameters"] or ()), row["error"] or str(row["begins"])[:_BEGINS]]
            for row in rows
        ],
    )
    return 0


@app.command()
def show(name: Name, as_json: AsJson = False) -> int:
    """Show a template as its file has it.

    \b
    nexscout template show summary
    """
    found = templates.load(name)
    if as_json:
        output.emit(found._asdict() | {"parameters": list(found.parameters), "path": str(templates.path_of(name))})
    else:
        output.out(templates.path_of(name).read_text(encoding="utf-8").rstrip("\n"))
    return 0


@app.command()
def edit(name: Name) -> int:
    """Change a template in your editor (VISUAL, else EDITOR). What is no template is not kept.

    \b
    nexscout template edit summary
    EDITOR=nano nexscout template edit summary
    """
    path = templates.path_of(name)
    if not path.exists():
        templates.load(name)  # says so
    before = path.read_text(encoding="utf-8", errors="replace")  # one that is broken is mended here
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_text(before, encoding="utf-8")
        while True:
            _open(draft)
            after = draft.read_text(encoding="utf-8", errors="replace")
            if after == before:
                output.note("nothing was changed")
                return 0
            try:
                templates.save(name, after)
            except UsageError as error:
                if not (sys.stdin.isatty() and output.stderr_is_terminal()):
                    raise
                output.failure(error, as_json=False)
                if not choices.asked("Edit it again?", default=True):
                    return error.exit_status
            else:
                return 0


@app.command()
def rm(name: Name) -> int:
    """Remove a template.

    \b
    nexscout template rm summary
    """
    templates.remove(name)
    return 0


def _open(draft: Path) -> None:
    """Let the person's editor change a file. Raises UsageError where there is none, or it fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = shlex.split(editor)
        status = subprocess.call([*words, str(draft)])
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot start the editor {editor!r:.80}", "set EDITOR to one that is there") from error
    if status:
        raise UsageError(f"the editor ended with status {status}", "nothing was changed")


def _schema(said: str | None) -> Any:
    """Fields in a line stay as they are written; a file's schema is taken into the template."""
    if said is None or not (said.endswith(".json") or said.lstrip()[:1] == "{"):
        return said
    from nexscout_cli.cli import chat_files

    form = chat_files.schema(said, 1_000_000)
    return form["json_schema"]["schema"] if "json_schema" in form else form


def _options(said: list[str]) -> dict[str, Any]:
    found = {}
    for name, text in pairs(said, "--option").items():
        known = option_names.named(name)
        if known is None:
            near = option_names.nearest(name)
            raise UsageError(
                f"there is no option {name!r:.60}", f"did you mean {near}?" if near else "docs/cli.md lists them"
            )
        option = options.OPTIONS[known]
        value = options.from_cell(option, text, f"option {known}")
        found[known] = str(value) if option.kind == "dollars" else value
    return found
