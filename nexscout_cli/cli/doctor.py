"""``nexscout doctor``: what works here, what doesn't, and what to type about it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from nexscout_cli import __version__, config, provider_keys
from nexscout_cli.assemble import kept_steps, open_store, store_version
from nexscout_cli.cli import declared, output, request
from nexscout_cli.cli.session import Session
from nexscout_cli.config import Settings
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.engine.store_ports import Store
from nexscout_cli.errors import ConfigError, StoreError

app = declared.App()

OK, WARN, FAIL = "ok", "warn", "fail"
_MARKS = {OK: "✓", WARN: "!", FAIL: "✗"}
_ASCII = {OK: "+", WARN: "!", FAIL: "x"}
_USUAL_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
_LITTLE_SPACE, _NO_SPACE = 500_000_000, 10_000_000
_PROBLEMS_SHOWN = 3
_LARGE = 100_000_000
"""Bytes above which a full check takes longer than somebody waits for one screen."""


class Finding(NamedTuple):
    """One line: ``status`` ok, warn or fail; ``fix`` is what to type or do, empty where nothing is to be done."""

    name: str
    status: str
    message: str
    fix: str = ""


@app.command()
def doctor(
    test_keys: Annotated[
        bool, declared.Option("--keys", help="Ask each provider whether it takes its key, which costs nothing.")
    ] = False,
    as_json: request.AsJson = False,
) -> int:
    """Say what works here and what doesn't. Exit 0 when a request can be answered, 6 otherwise.

    \b
    nexscout doctor
    nexscout doctor --keys
    nexscout doctor --json
    """
    findings, facts = _examine(Session(quiet=True), test_keys)
    healthy = all(finding.status != FAIL for finding in findings)
    if as_json:
        output.emit({"healthy": healthy, **facts, "checks": [finding._asdict() for finding in findings]})
    else:
        _show(findings)
    return 0 if healthy else StoreError.exit_status


def _examine(session: Session, test_keys: bool) -> tuple[list[Finding], dict[str, Any]]:
    python = ".".join(map(str, sys.version_info[:3]))
    findings = [Finding("nexscout", OK, f"{__version__} on Python {python}")]
    engine, version = store_version()
    facts: dict[str, Any] = {"version": __version__, "python": python, engine: version}
    settings, line = _config(session)
    findings += [line, *_variables()]
    store, lines = _database(settings, session.actor)
    findings += lines
    if store is not None:
        findings += [_actor(store, session.actor), *_unresolved(store, session.actor)]
    findings += _kept()
    catalog = _catalog(store, session.actor)
    keys = _keys(catalog)
    available, lines = _models(catalog)
    tested = _tested_keys(catalog, keys) if test_keys else []
    findings += [_key_line(keys), *tested, *lines, *_prices(catalog), _embedded(), _tokenizers(), _disk()]
    return findings, facts | {
        "database": config.db_place(),
        "keys": {name: source is not None for name, source in keys.items()},
        "key_sources": keys,
        "models_available": available,
    }


def _show(findings: Iterable[Finding]) -> None:
    encoding = sys.stdout.encoding or "ascii"
    try:
        "".join(_MARKS.values()).encode(encoding)
        signs = _MARKS
    except (UnicodeEncodeError, LookupError):
        signs = _ASCII
        encoding = "ascii"
    for finding in findings:
        text = f"{signs[finding.status]} {finding.name:<10} {finding.message}"
        if finding.fix:
            text += f"\n{'':13}{finding.fix}"
        output.out(output.harmless(text).encode(encoding, "backslashreplace").decode(encoding))


def _config(session: Session) -> tuple[Settings, Finding]:
    files = [str(path) for path in (config.user_file(), Path(config.PROJECT_FILE).absolute()) if path.exists()]
    try:
        settings = session.asked
    except ConfigError as error:
        return Settings(), Finding("config", FAIL, error.message, error.suggestion)
    return settings, Finding("config", OK, ", ".join(files) or f"defaults; there is no {config.user_file()}")


def _variables() -> list[Finding]:
    return [Finding("config", WARN, each.message, each.suggestion) for each in config.unknown_variables()]


def _database(settings: Settings, actor: str) -> tuple[Store | None, list[Finding]]:
    engine, version = store_version()
    try:
        store = open_store(settings, actor, makes=False)
        about = store.maintenance.about()
    except StoreError as error:
        return None, [Finding(engine, OK, version), Finding("database", FAIL, error.message, error.suggestion)]
    return store, [Finding(engine, OK, f"{version}, {about['durability']}"), *_books(store, actor, about)]


def _books(store: Store, actor: str, about: dict[str, str]) -> list[Finding]:
    path = about["path"]
    try:
        admin = store.users.is_admin(actor)
        if not admin or int(about["size"]) > _LARGE:
            more = "it is large: `nexscout db check` says more" if admin else "an admin can check it"
            return [Finding("database", OK, f"{path} opens; {more}")]
        problems = store.maintenance.check(actor)
    except StoreError as error:
        return [Finding("database", FAIL, error.message, error.suggestion)]
    if not problems:
        return [Finding("database", OK, f"{path} is sound")]
    lines = [Finding("database", FAIL, f"{p.name}: {p.message}", p.fix) for p in problems[:_PROBLEMS_SHOWN]]
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append(Finding("database", FAIL, f"and {len(problems) - _PROBLEMS_SHOWN} more", "nexscout db check"))
    return lines


def _actor(store: Store, actor: str) -> Finding:
    from nexscout_cli.errors import NexScoutError

    try:
        found = store.users.find(actor, actor)
    except NexScoutError as error:
        return Finding("actor", FAIL, error.message, error.suggestion)
    return Finding("actor", OK, f"{actor}, {found[0]}, tier {found[1]}" if found else actor)


def _unresolved(store: Store, actor: str) -> list[Finding]:
    try:
        rows = store.recovery.unresolved(actor)
    except StoreError:
        return []
    if not rows:
        return [Finding("attempts", OK, "none is unresolved")]
    held = sum(row.hold for row in rows)
    return [Finding("attempts", WARN, f"{len(rows)} of unknown outcome, holding ${usd(held):f}", "nexscout db resolve")]


def _kept() -> list[Finding]:
    """What is kept on this machine of calls that the database could not take."""
    lines = []
    for path, steps, is_refused in kept_steps():
        said = f"{path}: {steps} step{'s' * (steps > 1)} of calls that"
        if is_refused:
            fix = "nexscout db resolve settles those attempts; then delete the file"
            lines.append(Finding("kept", WARN, f"{said} the database has refused", fix))
        else:
            fix = "any command that writes enters them, with the NEXSCOUT_DB that they are for"
            lines.append(Finding("kept", WARN, f"{said} wait for the database", fix))
    return lines


def _catalog(store: Store | None, actor: str) -> tuple[Model, ...]:
    """The database's models; the seeded ones where it cannot be read."""
    if store is not None:
        try:
            return store.catalog.models(actor)
        except StoreError:
            pass
    from nexscout_cli.engine.catalog.seed import seeded

    return tuple(seeded())


def _keys(catalog: tuple[Model, ...]) -> dict[str, str | None]:
    """Names of the key variables, and where each key comes from (None: there is none); never a value."""
    names = dict.fromkeys((*_USUAL_KEYS, *sorted({m.api_key_env for m in catalog if m.api_key_env})))
    try:
        return {name: provider_keys.source(name) for name in names}
    except ConfigError:  # the models say why
        return dict.fromkeys(names)


def _key_line(keys: dict[str, str | None]) -> Finding:
    said = {None: "not set", "environment": "set", "file": "from the file of keys", "keyring": "from the keyring"}
    text = ", ".join(f"{name} {said[source]}" for name, source in keys.items())
    return Finding("keys", OK if any(keys.values()) else WARN, text)


def _tested_keys(catalog: tuple[Model, ...], keys: dict[str, str | None]) -> list[Finding]:
    """What each provider says of its key, one line for each variable and address."""
    from nexscout_cli.providers.wires.key_check import check_key

    lines, seen = [], set()
    for model in catalog:
        provider, name = model.litellm_model.partition("/")[0], model.api_key_env
        if name is None or not model.enabled or not keys.get(name):
            continue
        if (provider, model.api_base, name) in seen:
            continue
        seen.add((provider, model.api_base, name))
        verdict, why = check_key(model)
        status = {"taken": OK, "refused": FAIL}.get(verdict, WARN)
        fix = f"put a valid key into {name}" if verdict == "refused" else ""
        lines.append(Finding("key", status, f"{name} at {model.api_base or provider}: {verdict}; {why}", fix))
    return lines


def _models(catalog: tuple[Model, ...]) -> tuple[list[str], list[Finding]]:
    from nexscout_cli.engine.world import availability
    from nexscout_cli.providers import Providers

    names, missing = availability(catalog, Providers(config.data_dir()))
    available = [model.name for model in catalog if model.name in names]
    lines = [
        Finding(
            "models",
            OK if available else FAIL,
            f"{len(available)} of {len(catalog)} available" + (f": {', '.join(available)}" if available else ""),
        )
    ]
    for reason, those in _by_reason([m for m in catalog if m.name in missing and not m.retired], missing):
        lines.append(Finding("models", WARN, f"{', '.join(m.name for m in those)}: {reason}", _remedy(those[0])))
    lines += [Finding("models", WARN, f"{m.name} is retired by its provider", _live(m)) for m in catalog if m.retired]
    return available, lines


def _by_reason(those: list[Model], missing: dict[str, str]) -> Iterator[tuple[str, list[Model]]]:
    """Models in groups that lack the same thing, so that all fits one screen."""
    groups: dict[str, list[Model]] = {}
    for model in those:
        groups.setdefault(missing[model.name].split(";")[0], []).append(model)
    yield from groups.items()


def _remedy(model: Model) -> str:
    from nexscout_cli.providers.embedded import model_file

    if not model.enabled:
        return f"nexscout models enable {model.name}"
    if not model.embedded:
        from nexscout_cli.providers import requirements

        lacks = requirements.missing(model)
        return lacks[1] if lacks else ""
    return "nexscout models pull" if model_file.runtime_present() else "pip install xllamacpp"


def _live(model: Model) -> str:
    """What to type for a retired name: the same provider's model of the same size that is live in LiteLLM's table."""
    from nexscout_cli.providers import prices

    provider = model.litellm_model.partition("/")[0]
    try:
        current = [m for m in prices.current_models()[0] if m.litellm_model.startswith(f"{provider}/")]
    except StoreError:
        current = []
    family = model.name.rpartition("-")[2]
    nearest = sorted(
        current, key=lambda m: (family not in m.name, m.type != model.type, abs(m.quality - model.quality))
    )
    target = nearest[0].litellm_model if nearest else f"{provider}/MODEL"
    return f"nexscout models set {model.name} --litellm-model {target}"


def _prices(catalog: tuple[Model, ...]) -> list[Finding]:
    """Models whose price here is not their provider's; those behind another address set their own."""
    from nexscout_cli.providers import prices

    lines = []
    try:
        for model in catalog:
            if model.embedded or model.retired or model.api_base:
                continue
            listing = prices.lookup(model.litellm_model)
            if listing and (listing.price_in, listing.price_out) != (model.price_in, model.price_out):
                here, theirs = _per_1k(model.price_in, model.price_out), _per_1k(listing.price_in, listing.price_out)
                lines.append(
                    Finding(
                        "prices",
                        WARN,
                        f"{model.name} is counted at {here}; its provider asks {theirs}",
                        "nexscout models sync --apply",
                    )
                )
    except StoreError as error:
        return [Finding("prices", WARN, error.message, error.suggestion)]
    return lines


def _per_1k(price_in: int, price_out: int) -> str:
    return f"${usd(price_in).normalize():f} in, ${usd(price_out).normalize():f} out per 1k"


def _embedded() -> Finding:
    from nexscout_cli.providers.embedded import model_file

    path = model_file.model_path(config.data_dir())
    if not model_file.runtime_present():
        return Finding("embedded", WARN, "its runtime, xllamacpp, is not installed", "pip install xllamacpp")
    if model_file.is_present(path):
        return Finding("embedded", OK, f"runtime and {path}, {model_file.SIZE // 1_000_000} MB")
    what = "has the wrong size" if path.exists() else "is not there"
    return Finding("embedded", WARN, f"{path} {what}", "nexscout models pull")


def _tokenizers() -> Finding:
    from nexscout_cli.providers import tokens

    try:
        folder = tokens._folder()
    except OSError as error:
        return Finding("tokenizer", FAIL, str(error), "install nexscout again")
    absent = [name for name, file in tokens._SOURCES.items() if not (folder / file).is_file()]
    if absent:
        return Finding("tokenizer", FAIL, f"{', '.join(absent)} not found in {folder}", "install nexscout again")
    return Finding("tokenizer", OK, ", ".join(tokens._SOURCES))


def _disk() -> Finding:
    files = config.data_dir() / "here" if config.db_url() else config.db_path()
    folder = next(path for path in files.absolute().parents if path.exists())
    free = shutil.disk_usage(folder).free
    status = FAIL if free < _NO_SPACE else WARN if free < _LITTLE_SPACE else OK
    return Finding(
        "disk",
        status,
        f"{free / 1e9:,.1f} GB free at {folder}" if free >= 1e9 else f"{free // 1_000_000} MB free at {folder}",
        "" if status == OK else "free some disk space",
    )
