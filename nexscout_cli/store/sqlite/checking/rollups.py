"""Roll-ups: what reports read is the sum of the rows."""

from __future__ import annotations

from nexscout_cli.engine.book_types import SUMS
from nexscout_cli.store.sqlite.checking.findings import Rule


def rules() -> list[Rule]:
    """A rule for each roll-up, named like it."""
    from nexscout_cli.store.sqlite.schema import ROLLUPS

    return [_rule(table, keys) for table, (keys, _) in ROLLUPS.items()]


def _rule(table: str, keys: dict[str, str]) -> Rule:
    names = ", ".join(keys)
    sums = ", ".join(
        (
            "sum(first)",
            "sum(outcome = 'posted')",
            "sum(outcome = 'hit')",
            "sum(outcome = 'failed')",
            *(f"sum({name})" for name in SUMS[4:]),
        )
    )
    values = ", ".join(f"{sql.replace('new.', '')} AS {name}" for name, sql in keys.items())
    rows = f"""SELECT {values}, {sums} FROM (
        SELECT *, id = min(id) OVER (PARTITION BY request_id) AS first FROM ai_model_usage)
        GROUP BY {", ".join(str(n + 1) for n in range(len(keys)))}"""
    kept = f"SELECT {names}, {', '.join(SUMS)} FROM {table}"
    label = " || ' ' || ".join(keys)
    return Rule(
        table,
        f"""WITH rows AS ({rows}), kept AS ({kept})
        SELECT {label} || ': the sums are not those of its rows'
        FROM (SELECT {names} FROM (SELECT * FROM rows EXCEPT SELECT * FROM kept)
        UNION SELECT {names} FROM (SELECT * FROM kept EXCEPT SELECT * FROM rows))""",
    )
