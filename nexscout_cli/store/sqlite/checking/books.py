"""Accounts, entries, attempts and requests: every account is the sum of its entries, every attempt in one legal state."""

from __future__ import annotations

from nexscout_cli.store.sqlite.checking.findings import Rule

ACCOUNTS = Rule(
    "accounts",
    """
    WITH sums AS (
      SELECT a.id, a.owner, a.kind, a.period, a.held, a.spent, coalesce(a.granted, 0) AS granted,
        coalesce(sum(CASE WHEN e.kind IN ('grant', 'adjust') THEN e.amount END), 0) AS grants,
        coalesce(sum(CASE WHEN e.kind = 'hold' AND NOT EXISTS (
          SELECT 1 FROM ledger_entries s WHERE s.attempt = e.attempt AND s.account = e.account
          AND s.kind IN ('post', 'void')) THEN e.amount END), 0) AS holds,
        coalesce(sum(CASE WHEN e.kind = 'post' THEN e.amount END), 0)
          + coalesce((SELECT sum(c.spent) FROM closings c WHERE c.account = a.id), 0) AS posts
      FROM accounts a LEFT JOIN ledger_entries e ON e.account = a.id GROUP BY a.id),
    found AS (SELECT *, CASE
        WHEN granted <> grants THEN 'granted is ' || granted || ', its entries say ' || grants
        WHEN held <> holds THEN 'held is ' || held || ', its entries say ' || holds
        WHEN spent <> posts THEN 'spent is ' || spent || ', its entries say ' || posts
        WHEN held < 0 OR spent < 0 THEN 'held or spent is negative'
        WHEN kind = 'energy' AND granted - held - spent < 0
          THEN 'the balance is negative: ' || (granted - held - spent) END AS fault FROM sums)
    SELECT kind || ' of ' || owner || ' (' || period || '): ' || fault FROM found WHERE fault IS NOT NULL""",
)

RULES = (
    ACCOUNTS,
    Rule(
        "entries",
        """
        SELECT 'entry ' || s.id || ' (' || s.kind || ') of attempt ' || s.attempt || ' has no hold to settle'
        FROM ledger_entries s WHERE s.kind IN ('post', 'void') AND NOT EXISTS (SELECT 1 FROM ledger_entries h
          WHERE h.attempt = s.attempt AND h.account = s.account AND h.kind = 'hold')
        UNION ALL
        SELECT 'entry ' || s.id || ' voids ' || s.amount || ' of a hold of ' || h.amount FROM ledger_entries s
        JOIN ledger_entries h ON h.attempt = s.attempt AND h.account = s.account AND h.kind = 'hold'
        WHERE s.kind = 'void' AND s.amount <> h.amount""",
    ),
    Rule(
        "attempts",
        """
        WITH sums AS (
          SELECT t.id, t.request_id, t.n, t.state, t.actual, t.settled_at, t.claim, r.state AS request_state,
            {costs} AS paid,
            count(CASE WHEN e.kind = 'hold' THEN 1 END) AS holds, count(CASE WHEN e.kind = 'post' THEN 1 END) AS posts,
            count(CASE WHEN e.kind = 'void' THEN 1 END) AS voids,
            count(CASE WHEN e.kind = 'hold' AND e.amount <> CASE a.kind WHEN 'usd' THEN t.hold ELSE t.hold_tokens END
              THEN 1 END) AS other_holds,
            count(CASE WHEN e.kind = 'post' AND a.kind = 'usd' AND e.amount {is_not} t.actual THEN 1 END)
              AS other_posts
          FROM attempts t LEFT JOIN requests r USING (request_id)
          LEFT JOIN (ledger_entries e JOIN accounts a ON a.id = e.account AND a.kind <> 'energy')
            ON e.attempt = t.id GROUP BY t.id, t.request_id, t.n, r.state),
        found AS (SELECT s.*, CASE
            WHEN paid AND holds = 0 THEN 'can cost something and holds nothing'
            WHEN other_holds > 0 THEN 'holds other amounts than its entries'
            WHEN state IN ('held', 'sent', 'submitted', 'unknown') AND posts + voids > 0
              THEN 'is ' || state || ', yet its hold was settled'
            WHEN state = 'unknown' AND settled_at IS NULL THEN 'is unknown, and since when is not recorded'
            WHEN state IN ('posted', 'voided') AND claim IS NOT NULL AND request_state <> 'open'
              THEN 'is ' || state || ', yet keeps its claim'
            WHEN state = 'posted' AND (voids > 0 OR posts <> holds) THEN 'is posted, yet its holds are not'
            WHEN state = 'posted' AND actual IS NULL THEN 'is posted without a cost'
            WHEN state = 'posted' AND other_posts > 0 THEN 'is posted at another cost than its entries'
            WHEN state = 'posted' AND u.id IS NULL THEN 'is posted, yet has no row of usage'
            WHEN state = 'posted' AND u.cost_usd <> actual THEN 'is posted at another cost than its row of usage'
            WHEN state = 'voided' AND (posts > 0 OR voids <> holds) THEN 'is voided, yet its holds are not'
            WHEN state <> 'posted' AND u.id IS NOT NULL THEN 'is ' || state || ', yet has a row of usage'
            WHEN state <> 'posted' AND actual IS NOT NULL THEN 'is ' || state || ', yet has a cost' END AS fault
          FROM sums s LEFT JOIN ai_model_usage u ON u.request_id = s.request_id AND u.n = s.n)
        SELECT 'attempt ' || n || ' of ' || request_id || ' ' || fault FROM found WHERE fault IS NOT NULL""",
    ),
    Rule(
        "usage",
        """
        SELECT 'row ' || u.id || ' of usage (' || u.request_id || ', ' || u.n || ') is of no posted attempt'
        FROM ai_model_usage u WHERE (u.outcome = 'posted' OR u.n > 0) AND NOT EXISTS (
          SELECT 1 FROM attempts t WHERE t.request_id = u.request_id AND t.n = u.n AND t.state = 'posted')""",
    ),
    Rule(
        "requests",
        """
        WITH tries AS (SELECT request_id, count(*) AS attempts,
            count(CASE WHEN state IN ('held', 'sent', 'submitted') THEN 1 END) AS live,
            count(CASE WHEN state = 'unknown' THEN 1 END) AS unknown, count(CASE WHEN state = 'posted' THEN 1 END) AS posted
            FROM attempts GROUP BY request_id),
        energy AS (SELECT e.attempt, count(CASE WHEN e.kind = 'hold' THEN 1 END) AS holds,
            count(CASE WHEN e.kind <> 'hold' THEN 1 END) AS settled, count(CASE WHEN e.kind = 'post' THEN 1 END) AS posts,
            sum(CASE e.kind WHEN 'hold' THEN e.amount WHEN 'post' THEN -e.amount ELSE 0 END) < 0 AS above
          FROM ledger_entries e JOIN accounts a ON a.id = e.account AND a.kind = 'energy' WHERE e.attempt IS NOT NULL
          GROUP BY e.attempt),
        found AS (SELECT r.request_id, CASE
            WHEN r.state <> 'posted' AND t.attempts IS NULL THEN 'is ' || r.state || ', yet has no attempt'
            WHEN r.state = 'posted' AND t.attempts IS NULL AND NOT EXISTS (SELECT 1 FROM ai_model_usage u
              WHERE u.request_id = r.request_id AND u.outcome = 'hit') THEN 'is posted, yet nothing answered it'
            WHEN r.state = 'posted' AND t.posted = 0 THEN 'is posted, yet none of its attempts is'
            WHEN r.state <> 'open' AND t.live > 0 THEN 'is ' || r.state || ', yet an attempt is in flight'
            WHEN r.state = 'unknown' AND t.unknown = 0 THEN 'is unknown, yet none of its attempts is'
            WHEN r.state = 'voided' AND t.unknown > 0 THEN 'is voided, yet an attempt is unknown'
            WHEN e.above THEN 'was charged more energy than it held'
            WHEN r.state = 'open' AND e.settled > 0 THEN 'is open, yet its energy was settled'
            WHEN r.state IN ('posted', 'voided') AND e.holds > e.settled
              THEN 'is ' || r.state || ', yet still holds energy'
            WHEN r.state <> 'posted' AND e.posts > 0 THEN 'is ' || r.state || ', yet was charged energy' END AS fault
          FROM requests r LEFT JOIN tries t USING (request_id)
          LEFT JOIN attempts f ON f.request_id = r.request_id AND f.n = 1 LEFT JOIN energy e ON e.attempt = f.id)
        SELECT 'request ' || request_id || ' ' || fault FROM found WHERE fault IS NOT NULL
        UNION ALL
        SELECT 'attempt ' || t.n || ' of ' || t.request_id || ' holds energy, which only a first attempt does'
        FROM energy e JOIN attempts t ON t.id = e.attempt WHERE t.n > 1""",
    ),
)
