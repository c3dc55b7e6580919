"""Figures, names and times that are kept in two places: both must say the same."""

from __future__ import annotations

from nexscout_cli.store.sqlite.checking.findings import Rule

_USERS = Rule(
    "users",
    """
    SELECT 'user ' || user_id || ' has no profile' FROM users
      WHERE user_id NOT IN (SELECT user_id FROM user_efficiency_profiles)
    UNION ALL
    SELECT 'request ' || request_id || ' is of ' || user_id || ', who is no user' FROM requests
      WHERE user_id NOT IN (SELECT user_id FROM users)
    UNION ALL
    SELECT 'account ' || id || ' (' || kind || ', ' || period || ') is of ' || owner || ', who is no user' FROM accounts
      WHERE substr(owner, 1, 1) <> '*' AND owner NOT IN (SELECT user_id FROM users)""",
)

_OWNERS = Rule(
    "owners",
    """
    SELECT 'entry ' || e.id || ' of attempt ' || t.n || ' of ' || t.request_id || ' is on an account of ' || a.owner
      || ', the request is of ' || r.user_id
    FROM ledger_entries e JOIN attempts t ON t.id = e.attempt JOIN requests r USING (request_id)
      JOIN accounts a ON a.id = e.account
    WHERE a.owner <> r.user_id AND substr(a.owner, 1, 1) <> '*'
    UNION ALL
    SELECT 'row ' || u.id || ' of usage (' || request_id || ') is of ' || u.user_id || ' for ' || u.feature
      || ', the request is of ' || r.user_id || ' for ' || r.feature
    FROM ai_model_usage u JOIN requests r USING (request_id) WHERE (u.user_id, u.feature) <> (r.user_id, r.feature)
    UNION ALL
    SELECT 'the prediction of ' || request_id || ' is of ' || p.user_id || ' for ' || p.feature
      || ', the request is of ' || r.user_id || ' for ' || r.feature
    FROM ai_cost_predictions p JOIN requests r USING (request_id) WHERE (p.user_id, p.feature) <> (r.user_id, r.feature)
    UNION ALL
    SELECT 'the feedback on ' || request_id || ' is not on a row of usage of its user, feature and model'
    FROM feedback f WHERE (NOT EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = f.request_id
      AND (u.user_id, u.feature) = (f.user_id, f.feature))
      OR NOT EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = f.request_id AND u.model_used = f.model))
      AND ({is_here} OR EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = f.request_id))""",
)

_ENERGY = Rule(
    "energy",
    """
    WITH charged AS (SELECT t.request_id, sum(e.amount) AS energy FROM ledger_entries e
        JOIN accounts a ON a.id = e.account AND a.kind = 'energy' JOIN attempts t ON t.id = e.attempt
        WHERE e.kind = 'post' GROUP BY t.request_id),
      used AS (SELECT request_id, sum(energy) AS energy FROM ai_model_usage GROUP BY request_id)
    SELECT 'request ' || request_id || ' used ' || coalesce(u.energy, 0) || ' energy by its rows of usage, and was charged '
      || coalesce(c.energy, 0)
    FROM used u LEFT JOIN charged c USING (request_id) WHERE u.energy <> coalesce(c.energy, 0)
    UNION ALL
    SELECT 'request ' || request_id || ' was charged ' || c.energy || ' energy, and no row of usage says so'
    FROM charged c LEFT JOIN used u USING (request_id) WHERE u.energy IS NULL AND c.energy <> 0""",
)

_PREDICTIONS = Rule(
    "predictions",
    """
    WITH used AS (SELECT request_id, sum(cost_usd) AS cost, sum(total_tokens) AS tokens, count(*) AS posts,
        max(CASE WHEN {metadata} LIKE '%"aged"%' OR {metadata} LIKE '%"resolved"%' THEN 1 ELSE 0 END) AS guessed
        FROM ai_model_usage WHERE outcome = 'posted' GROUP BY request_id),
      found AS (SELECT p.request_id, CASE
        WHEN p.approved = CASE WHEN p.rejected_reason IS NOT NULL THEN 1 ELSE 0 END THEN 'is approved and rejected, or neither'
        WHEN p.approved = 0 AND r.request_id IS NOT NULL THEN 'was rejected, yet the request ran'
        WHEN p.approved <> 0 AND r.request_id IS NULL THEN 'was approved, yet there is no request'
        WHEN p.actual_cost_usd {is_not} u.cost THEN 'says that it cost ' || coalesce(CAST(p.actual_cost_usd AS text), 'nothing')
          || ', its rows of usage ' || coalesce(CAST(u.cost AS text), 'nothing')
        WHEN u.posts IS NULL AND p.actual_tokens IS NOT NULL THEN 'has tokens, yet nothing was posted'
        WHEN u.guessed = 0 AND p.actual_tokens <> u.tokens THEN 'says that it took ' || p.actual_tokens
          || ' tokens, its rows of usage ' || u.tokens
        WHEN u.posts > 0 AND u.guessed = 0 AND p.actual_tokens IS NULL THEN 'does not say what it took'
        WHEN (p.actual_tokens IS NULL) <> (p.prediction_accuracy IS NULL) THEN 'has tokens without accuracy, or the reverse'
        WHEN abs(p.prediction_accuracy - CASE WHEN p.predicted_tokens > 0
            THEN {greatest}(0, 1 - abs(p.actual_tokens - p.predicted_tokens) * 1.0 / p.predicted_tokens)
            WHEN p.actual_tokens = 0 AND p.predicted_tokens = 0 THEN 1 ELSE 0 END) > 1e-9
          THEN 'has another accuracy than its tokens'
        WHEN p.predicted_output_tokens > p.predicted_tokens OR p.predicted_cost_usd > p.max_cost_usd
          OR {least}(p.predicted_tokens, p.predicted_output_tokens, p.predicted_cost_usd, p.predicted_energy,
            p.formula_tokens) < 0
          THEN 'contradicts itself' END AS fault
        FROM ai_cost_predictions p LEFT JOIN requests r USING (request_id) LEFT JOIN used u USING (request_id))
    SELECT 'the prediction of ' || request_id || ' ' || fault FROM found WHERE fault IS NOT NULL
    UNION ALL
    SELECT 'request ' || request_id || ' has an attempt and no prediction' FROM attempts
      WHERE n = 1 AND request_id NOT IN (SELECT request_id FROM ai_cost_predictions)""",
)

_USAGE = Rule(
    "usage_rows",
    """
    WITH found AS (SELECT u.id, u.request_id, CASE
        WHEN {least}(input_tokens, output_tokens, cost_usd, energy, baseline_usd, avoided_usd, compression_saved_usd) < 0
          THEN 'has a negative figure'
        WHEN cached_response <> CASE outcome WHEN 'hit' THEN 1 ELSE 0 END OR (outcome = 'hit') <> (cache_match IS NOT NULL)
          THEN 'is a hit and is not'
        WHEN outcome <> 'posted' AND (cost_usd <> 0 OR energy <> 0 OR input_tokens <> 0 OR output_tokens <> 0)
          THEN 'cost something, though nothing was called'
        WHEN outcome <> 'hit' AND avoided_usd <> 0 THEN 'avoided a call, though it is no hit'
        WHEN outcome = 'posted' AND NOT t.model = u.model_used THEN 'names another model than its attempt'
        WHEN outcome = 'posted' AND NOT t.settled_at = u.created_at
          THEN 'is of ' || u.created_at || ', its attempt was settled at ' || coalesce(t.settled_at, 'no time') END AS fault
      FROM ai_model_usage u LEFT JOIN attempts t ON t.request_id = u.request_id AND t.n = u.n)
    SELECT 'row ' || id || ' of usage (' || request_id || ') ' || fault FROM found WHERE fault IS NOT NULL""",
)

_TIMES = Rule(
    "times",
    """
    SELECT 'entry ' || e.id || ' (' || e.kind || ') is of ' || e.created_at || ', its attempt ' || t.n || ' of '
      || t.request_id || ' was ' || CASE e.kind WHEN 'hold' THEN 'made' ELSE 'settled' END || ' at '
      || coalesce(CASE e.kind WHEN 'hold' THEN t.created_at ELSE t.settled_at END, 'no time')
    FROM ledger_entries e JOIN attempts t ON t.id = e.attempt JOIN accounts a ON a.id = e.account
    WHERE CASE WHEN e.kind = 'hold' THEN e.created_at <> t.created_at
      WHEN a.kind <> 'energy' THEN e.created_at {is_not} t.settled_at END
    UNION ALL
    SELECT 'attempt ' || n || ' of ' || request_id || ' ends before it begins' FROM attempts
      WHERE settled_at < created_at OR deadline < created_at
    UNION ALL
    SELECT 'request ' || request_id || ' is of ' || r.created_at || ', its first attempt of ' || t.created_at
    FROM requests r JOIN attempts t USING (request_id) WHERE t.n = 1 AND r.created_at <> t.created_at
    UNION ALL
    SELECT 'the prediction of ' || request_id || ' is of ' || p.created_at || ', the first attempt of ' || t.created_at
    FROM ai_cost_predictions p JOIN attempts t USING (request_id) WHERE t.n = 1 AND p.created_at <> t.created_at""",
)

# A reason is also what an admin wrote with a grant: the sum may be less than what those reasons name, never more.
_GRANTS = Rule(
    "grants",
    """
    WITH months AS (SELECT a.owner, max(substr(e.reason, 7)) AS month FROM ledger_entries e
        JOIN accounts a ON a.id = e.account WHERE e.attempt IS NULL AND a.kind = 'energy' AND e.kind = 'grant'
        AND {is_monthly} GROUP BY a.owner),
      sums AS (SELECT a.owner, sum(CASE WHEN e.reason = 'month ' || m.month THEN e.amount END) AS monthly,
        sum(e.amount) AS granted
        FROM months m JOIN accounts a ON a.owner = m.owner AND a.kind = 'energy' JOIN ledger_entries e ON e.account = a.id
        WHERE e.attempt IS NULL AND e.kind = 'grant' AND (e.reason = 'month ' || m.month
          OR e.reason IN ('tier free', 'tier pro', 'tier elite', 'tier enterprise')) GROUP BY a.owner)
    SELECT 'user ' || user_id || ' got energy for ' || coalesce(nullif(granted_period, ''), 'no month')
      || ', the last monthly grant is for ' || coalesce(month, 'none')
    FROM users LEFT JOIN months ON owner = user_id WHERE granted_period <> coalesce(month, '')
    UNION ALL
    SELECT 'user ' || user_id || ' got ' || granted_energy || ' energy for this month, the entries say ' || granted
    FROM users JOIN sums ON owner = user_id WHERE NOT granted_energy BETWEEN monthly AND granted""",
)

_CACHED = Rule(
    "cached_answers",
    """
    WITH found AS (SELECT c.id, CASE
        WHEN tokens_saved <> input_tokens + output_tokens THEN 'saves other tokens than it has'
        WHEN expires_at < created_at OR last_used_at < created_at THEN 'ends before it begins'
        WHEN hit_count < 0 OR quality NOT BETWEEN 0 AND 1 THEN 'has figures that cannot be'
        WHEN request_id IS NOT NULL AND EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = c.request_id)
          AND NOT EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = c.request_id
            AND (u.user_id, u.feature, u.model_used, u.input_tokens, u.output_tokens, u.cost_usd) =
                (c.user_id, c.feature, c.model_used, c.input_tokens, c.output_tokens, c.cost_usd))
          THEN 'is not what request ' || request_id || ' was answered' END AS fault FROM cached_ai_responses c)
    SELECT 'kept answer ' || id || ' ' || fault FROM found WHERE fault IS NOT NULL""",
    "remove it: nexscout cache clear",
)

RULES = (_USERS, _OWNERS, _ENERGY, _PREDICTIONS, _USAGE, _TIMES, _GRANTS, _CACHED)
