"""``nexscout models deploy`` and what goes with it: one name, several places where it is served."""

from __future__ import annotations

from typing import Annotated, Any

from nexscout_cli.cli import declared, output, tables
from nexscout_cli.cli import model_options as options
from nexscout_cli.cli.model_rows import lookup
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.catalog import endpoints, keeping, rules
from nexscout_cli.engine.catalog.deploying import Place
from nexscout_cli.engine.catalog.rules import Change
from nexscout_cli.engine.deployment import Deployment, Use
from nexscout_cli.engine.model import Model
from nexscout_cli.engine.money import usd
from nexscout_cli.errors import UsageError

Name = Annotated[str, declared.Argument(metavar="NAME", help="The catalog's name of the model.")]
AsJson = Annotated[bool, declared.Option("--json", help="One JSON document on stdout.")]
_MOST = 10**9


app = declared.App()


@app.command()
def deploy(
    name: Name,
    deployment: Annotated[
        str | None, declared.Option("--name", help="The deployment's own name; without one its provider's.")
    ] = None,
    target: Annotated[
        str | None, declared.Option("--target", help="What is called there, for instance azure/gpt-4o-eu.")
    ] = None,
    api_base: options.Base = None,
    api_key_env: options.KeyVariable = None,
    weight: Annotated[
        int | None,
        declared.Option(
            "--weight", min=0, max=1000, help="Its share beside others; 0: only where no other can be asked."
        ),
    ] = None,
    rpm: Annotated[
        int | None, declared.Option("--rpm", min=0, max=_MOST, help="Requests a minute; 0: any number.")
    ] = None,
    tpm: Annotated[
        int | None, declared.Option("--tpm", min=0, max=_MOST, help="Tokens a minute; 0: any number.")
    ] = None,
    concurrency: Annotated[
        int | None, declared.Option("--concurrency", min=0, max=_MOST, help="Calls at once; 0: any number.")
    ] = None,
    cool_down: Annotated[
        float | None,
        declared.Option("--cool-down", min=0, max=3600, help="Seconds it is left alone after a failure (5)."),
    ] = None,
    input_price: options.InputPrice = None,
    output_price: options.OutputPrice = None,
    as_json: AsJson = False,
) -> int:
    """Serve a model at one more place, or change one of its deployments (admins).

    \b
    nexscout models deploy gpt-4o --target azure/gpt-4o --api-base https://eu.example.com \\
        --api-key-env AZURE_EU_KEY --weight 3 --rpm 500 --tpm 200000 --concurrency 20
    nexscout models deploy gpt-4o --name azure --rpm 1000
    nexscout models deploy gpt-4o --rpm 500

    Without --target and --name the limits are those of the model's own target, which is called default. Each call goes to
    one of them, by weight, by what is left of limits, and by how fast and sound each was of late.
    """
    said = Place(
        None if target is None else endpoints.check_target(target),
        None if api_base is None else endpoints.check_base(api_base),
        None if api_key_env is None else endpoints.check_variable(api_key_env),
        weight,
        rpm,
        tpm,
        concurrency,
        cool_down,
        options.per_token(input_price, "--input-price"),
        options.per_token(output_price, "--output-price"),
    )
    if said == Place() and deployment is None:
        raise UsageError("there is nothing to deploy", f"`nexscout models deploy {name} --help` shows what can be said")
    session = Session()
    session.recover()
    model, made, notes = keeping.deploy(session.store.catalog, session.actor, name, deployment, said, lookup)
    for note in notes:
        output.note(f"note: {note}")
    place = next(one for one in model.deployments if one.name == made)
    if as_json:
        output.emit(_row(model, place, Use()))
    elif output.stderr_is_terminal():
        names = ", ".join(one.name for one in model.deployments)
        output.note(f"{model.name} is served at {names}; {made} calls {model.at(place).litellm_model}")
    return 0


@app.command()
def undeploy(
    name: Name, deployment: Annotated[str, declared.Argument(metavar="DEPLOYMENT", help="The deployment's name.")]
) -> int:
    """Serve a model at one place less (admins).

    \b
    nexscout models undeploy gpt-4o azure
    """
    session = Session()
    session.recover()
    model = keeping.undeploy(session.store.catalog, session.actor, name, deployment)
    if output.stderr_is_terminal():
        names = ", ".join(one.name for one in model.deployments) or model.litellm_model
        output.note(f"{model.name} is served at {names}")
    return 0


@app.command()
def deployments(
    name: Annotated[str | None, declared.Argument(metavar="NAME", help="One model's alone.")] = None,
    as_json: AsJson = False,
) -> int:
    """List where models are served, what each place takes, and how it is used now.

    \b
    nexscout models deployments
    nexscout models deployments gpt-4o --json
    """
    session = Session()
    catalog = session.store.catalog
    found = catalog.models(session.actor)
    models = found if name is None else (rules.find(found, name),)
    rows = []
    for model in models:
        if model.deployments:
            uses = catalog.uses(session.actor, model)
            rows += [_row(model, place, uses.get(place.name, Use())) for place in model.deployments]
    if as_json:
        output.emit({"rows": rows})
        return 0
    tables.show(
        ("model", "deployment", "calls", "at", "weight", "rpm", "tpm", "at once", "latency ms", "errors", "state"),
        [
            [
                row["model"],
                row["deployment"],
                row["target"],
                row["api_base"] or "",
                str(row["weight"]),
                _of(row["requests_last_minute"], row["rpm"]),
                _of(row["tokens_last_minute"], row["tpm"]),
                _of(row["in_flight"], row["concurrency"]),
                "–" if row["latency_ms"] is None else f"{row['latency_ms']:,}",
                f"{row['error_rate']:.0%}",
                f"cools down for {row['cooling_s']:.0f} s ({row['failure']})" if row["cooling_s"] else "open",
            ]
            for row in rows
        ],
        right=range(4, 10),
    )
    return 0


@app.command()
def point(
    provider: Annotated[str, declared.Argument(metavar="PROVIDER", help="What stands before the slash, as openai.")],
    api_base: Annotated[str, declared.Option("--api-base", help="Address of the server, or none.")],
    api_key_env: options.KeyVariable = None,
    free: Annotated[bool, declared.Option("--free", help="What costs nothing now costs nothing there, too.")] = False,
    as_json: AsJson = False,
) -> int:
    """Point all models and deployments of a provider at another address (admins).

    \b
    nexscout models point openai --api-base http://127.0.0.1:8080/v1
    nexscout models point openai --api-base none
    """
    change = Change(
        api_base=endpoints.check_base(api_base),
        api_key_env=None if api_key_env is None else endpoints.check_variable(api_key_env),
        free=free,
    )
    session = Session()
    session.recover()
    changed, notes = keeping.point(session.store.catalog, session.actor, provider.rstrip("/"), change, lookup)
    for note in notes:
        output.note(f"note: {note}")
    names = [model.name for model in changed]
    if as_json:
        output.emit({"provider": provider, "changed": names})
    elif output.stderr_is_terminal():
        output.note(f"{', '.join(names) or 'nothing'} changed")
    return 0


def _row(model: Model, place: Deployment, use: Use) -> dict[str, Any]:
    """A deployment as a row; prices in dollars per 1,000 tokens."""
    called = model.at(place)
    return {
        "model": model.name,
        "deployment": place.name,
        "target": called.litellm_model,
        "api_base": called.api_base,
        "api_key_env": called.api_key_env,
        "weight": place.weight,
        "rpm": place.rpm,
        "tpm": place.tpm,
        "concurrency": place.concurrency,
        "cool_down_s": place.cool_down,
        "input_price_per_1k": usd(called.price_in),
        "output_price_per_1k": usd(called.price_out),
        "requests_last_minute": None if place.rpm is None and place.tpm is None else use.requests,
        "tokens_last_minute": None if place.rpm is None and place.tpm is None else use.tokens,
        "in_flight": None if place.concurrency is None else use.in_flight,
        "latency_ms": None if use.latency_ms is None else round(use.latency_ms),
        "error_rate": round(use.error_rate, 3),
        "failure": use.failure,
        "cooling_s": round(use.cooling, 1),
    }


def _of(used: int | None, limit: int | None) -> str:
    """What is used of a limit."""
    return "any" if limit is None else f"{used:,} of {limit:,}"
