"""Templates as files: TOML in the configuration folder, one each; YAML, as llm keeps them, is read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from nexscout_cli import config, files, system
from nexscout_cli.engine import template
from nexscout_cli.engine.template import Template
from nexscout_cli.errors import StoreError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ENDINGS = (".toml", ".yaml", ".yml")
_MAX_BYTES = 1_000_000


def folder() -> Path:
    """Where templates are kept."""
    return config.config_dir() / "templates"


def path_of(name: str) -> Path:
    """The file of a template, whether it is there or not. Raises UsageError for what is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} cannot be a template's name", "up to 64 letters, digits, - and _")
    return folder() / f"{name}.toml"


def names() -> list[str]:
    """The templates there are."""
    return sorted(path.stem for path in folder().glob("*.toml") if _NAME.fullmatch(path.stem))


def load(name: str) -> Template:
    """A template by its name, or by the name of a TOML or YAML file. Raises UsageError."""
    if name.endswith(_ENDINGS):
        return read(Path(name).expanduser())
    path = path_of(name)
    if not path.exists():
        from difflib import get_close_matches

        near = get_close_matches(name, names(), 1)
        raise UsageError(
            f"there is no template {name!r}",
            f"did you mean {near[0]}?" if near else "`nexscout template list` shows them",
        )
    return read(path)


def read(path: Path) -> Template:
    """The template of a TOML or YAML file. Raises UsageError."""
    return parse(files.read_text(path, _MAX_BYTES), path.stem, path.suffix)


def parse(text: str, name: str, ending: str = ".toml") -> Template:
    """The template of a file's text. Raises UsageError."""
    return template.parse(_document(text, name, ending), name)


def save(name: str, text: str) -> Path:
    """Keep the text of a TOML file, which must be a template, under a name; one that is there is replaced.

    Returns its path. Raises UsageError, StoreError.
    """
    path = path_of(name)
    parse(text, name)
    part = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = system.opened(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}", "check the folder's permissions") from error
    return path


def remove(name: str) -> None:
    """Remove a template. Raises UsageError where there is none, StoreError."""
    path = path_of(name)
    try:
        path.unlink()
    except FileNotFoundError:
        load(name)
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror}", "check the folder's permissions") from error


def written(fields: dict[str, Any]) -> str:
    """The text of a TOML file with those fields, as people write them (see :data:`template.FIELDS`)."""
    import tomlkit

    return tomlkit.dumps({name: value for name, value in fields.items() if value not in (None, "", {})})


def fields_of(path: Path) -> dict[str, Any]:
    """The fields of a TOML or YAML file, which must be a template, by the names that they have here. Raises UsageError."""
    text = files.read_text(path, _MAX_BYTES)
    parse(text, path.stem, path.suffix)
    found = _document(text, path.stem, path.suffix)
    found = {"prompt": found} if isinstance(found, str) else dict(found)
    found.pop("name", None)
    if "schema_object" in found:
        found["schema"] = found.pop("schema_object")
    return found


def _document(text: str, name: str, ending: str) -> Any:
    is_yaml = ending in (".yaml", ".yml")
    try:
        return _yaml(text) if is_yaml else _toml(text)
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise UsageError(
            f"template {name} is not valid {'YAML' if is_yaml else 'TOML'}: {said}", "correct it"
        ) from error


def _toml(text: str) -> Any:
    import tomllib

    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
