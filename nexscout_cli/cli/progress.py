"""Progress of a download: a bar on a terminal, one line a step anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nexscout_cli.cli import output

Advance = Callable[[int, int], None]
Note = Callable[[str], None]


@contextmanager
def of_bytes(quiet: bool) -> Iterator[tuple[Advance, Note]]:
    """What to call with bytes done and in all, and what to call as a step begins. All on stderr; ``quiet``: nothing."""
    if quiet or not output.stderr_is_terminal():
        yield (lambda done, total: None), (lambda text: None if quiet else output.note(text))
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=output.console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def begin(text: str) -> None:
            bar.reset(task, description=text, total=None)

        yield (lambda done, total: bar.update(task, completed=done, total=total)), begin
