"""``nexscout top``: what goes on now: calls in flight, dollars a minute, holds, errors."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from nexscout_cli.cli import declared, output
from nexscout_cli.cli.session import Session
from nexscout_cli.engine.money import usd

if TYPE_CHECKING:
    from nexscout_cli.engine.book_types import InFlight, Live

app = declared.App()

_MINUTES = 60
_LEAST_ROWS = 3


@app.command()
def top(
    once: Annotated[
        bool, declared.Option("--once", help="Print it once and end; so it is too where no terminal is.")
    ] = False,
    every: Annotated[
        float, declared.Option("--every", min=0.2, max=3_600, help="Seconds between two looks.", show_default=True)
    ] = 1.0,
    as_json: Annotated[bool, declared.Option("--json", help="One JSON document on stdout, once.")] = False,
) -> int:
    """Watch what goes on: calls in flight, dollars a minute, holds, errors. Ctrl-C ends it.

    \b
    nexscout top
    nexscout top --every 5
    nexscout top --once
    """
    session = Session()
    if as_json:
        output.emit(_document(session.store.log.live(session.actor, _MINUTES)))
        return 0
    if once or not output.stdout_is_terminal():
        for line in lines(session.store.log.live(session.actor, _MINUTES), 80, None):
            output.out(line)
        return 0
    return _watch(session, every)


def _watch(session: Session, every: float) -> int:
    """Draw it anew again and again, until a signal."""
    from rich.live import Live as Display
    from rich.text import Text

    console = output.console()

    def drawn() -> Text:
        now = session.store.log.live(session.actor, _MINUTES)
        return Text("\n".join(lines(now, console.width, console.height - 1)), no_wrap=True, overflow="crop")

    with suppress(KeyboardInterrupt), Display(drawn(), console=console, screen=True, auto_refresh=False) as display:
        while True:
            # A signal ends the wait, and so the command.
            time.sleep(every)
            display.update(drawn(), refresh=True)
    return 0


def lines(now: Live, width: int, height: int | None) -> list[str]:
    """What is shown, in lines of that width; ``height`` of them at most, None: all."""
    from nexscout_cli.cli.sparkline import drawable, sparkline

    calls, minutes = now.calls, now.minutes
    states = {state: [one for one in calls if one.state == state] for state in ("held", "sent", "submitted", "unknown")}
    flying = states["held"] + states["sent"]
    last, hour = minutes[-6:-1], minutes
    spent = sum(minute.cost for minute in last) / len(last) if last else 0
    answers, errors = sum(one.answers for one in last), sum(one.errors for one in last)
    shown = [
        f"{now.now:%Y-%m-%d %H:%M:%S} UTC",
        f"in flight   {len(flying):>6}   holding {_dollars(sum(one.hold for one in flying))}",
        f"spending    {_dollars(spent)} a minute, over five minutes; {_dollars(sum(one.cost for one in hour))} in the hour",
        f"answers     {answers / max(1, len(last)):>6.1f} a minute; {sum(one.answers for one in hour):,} in the hour, "
        f"{sum(one.hits for one in hour):,} from the cache",
        f"errors      {errors:>6} in five minutes; {sum(one.errors for one in hour):,} in the hour",
    ]
    if states["submitted"]:
        held = sum(one.hold for one in states["submitted"])
        shown.append(f"in batches  {len(states['submitted']):>6}   holding {_dollars(held)}; `nexscout jobs list`")
    if states["unknown"]:
        held = sum(one.hold for one in states["unknown"])
        shown.append(
            f"unknown     {len(states['unknown']):>6}   holding {_dollars(held)}; `nexscout db resolve` decides them"
        )
    if drawable():
        room = min(_MINUTES, width - 12)
        shown += ["", f"dollars     {sparkline([one.cost for one in hour], room)}"]
        shown.append(f"errors      {sparkline([one.errors for one in hour], room)}")
    if flying:
        room = len(flying) if height is None else max(_LEAST_ROWS, height - len(shown) - 3)
        shown += ["", f"{'seconds':>8}  {'holds':>10}  {'state':<5}  {'model':<20}  user"]
        shown += [_call(one, now) for one in flying[:room]]
        if len(flying) > room:
            shown.append(f"and {len(flying) - room:,} more")
    return [output.harmless(line)[:width] for line in shown]


def _call(one: InFlight, now: Live) -> str:
    seconds = (now.now - one.since).total_seconds()
    return f"{seconds:>8.1f}  {_dollars(one.hold):>10}  {one.state:<5}  {one.model:<20.20}  {one.user_id}"


def _dollars(nano: float) -> str:
    return f"${nano / 1e9:,.4f}"


def _document(now: Live) -> dict[str, Any]:
    return {
        "now": now.now.isoformat(),
        "calls": [one._asdict() | {"hold": usd(one.hold), "since": one.since.isoformat()} for one in now.calls],
        "minutes": [one._asdict() | {"cost": usd(one.cost)} for one in now.minutes],
    }
