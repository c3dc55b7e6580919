"""Roll-ups: what reports read is the sum of the rows."""

from __future__ import annotations

from nexscout_cli.engine.sums import SUMS
from nexscout_cli.store.sqlite.checking.findings import ROWS_FROM, Rule
from nexscout_cli.store.sqlite.rollups import ROLLUPS


def rules() -> list[Rule]:
    """A rule for each roll-up, named like it."""
    return [*(_rule(table, keys) for table, (keys, _) in ROLLUPS.items()), _ARCHIVED]


_BOTH = ", ".join(f"sum({name})" for name in SUMS)
_ARCHIVED = Rule(
    "archived_sums",
    f"""WITH users AS (SELECT day, {_BOTH} FROM usage_by_user_day WHERE day < {ROWS_FROM} GROUP BY day),
      models AS (SELECT day, {_BOTH} FROM usage_by_model_day WHERE day < {ROWS_FROM} GROUP BY day)
    SELECT day || ': the sums of users and of models differ, whose rows are archived'
    FROM (SELECT day FROM (SELECT * FROM users EXCEPT SELECT * FROM models) AS more
      UNION SELECT day FROM (SELECT * FROM models EXCEPT SELECT * FROM users) AS fewer) AS other""",
)
"""Of days whose rows are here no more: each roll-up is looked at by the other one."""


def _rule(table: str, keys: dict[str, str]) -> Rule:
    names = ", ".join(keys)
    counts = (f"count(CASE WHEN outcome = '{outcome}' THEN 1 END)" for outcome in ("posted", "hit", "failed"))
    sums = ", ".join(("sum(first)", *counts, *(f"sum({name})" for name in SUMS[4:])))
    values = ", ".join(f"{sql.replace('new.', '')} AS {name}" for name, sql in keys.items())
    rows = f"""SELECT {values}, {sums} FROM (
        SELECT *, CASE WHEN id = min(id) OVER (PARTITION BY request_id) THEN 1 ELSE 0 END AS first
        FROM ai_model_usage) AS numbered
        GROUP BY {", ".join(str(n + 1) for n in range(len(keys)))}"""
    kept = f"SELECT {names}, {', '.join(f'sum({name})' for name in SUMS)} FROM {table} GROUP BY {names}"
    label = " || ' ' || ".join(keys)
    return Rule(
        table,
        f"""WITH counted AS ({rows}), kept AS ({kept})
        SELECT {label} || ': the sums are not those of its rows'
        FROM (SELECT {names} FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS more
        UNION SELECT {names} FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS fewer) AS other
        WHERE day >= {ROWS_FROM}""",
    )
