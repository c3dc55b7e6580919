-- What is money is written by functions alone, the rare cases too: they take one whole change each, after which the books still
-- add up, and refuse what no program of ours does. So whoever has the application's login and plain SQL can write no entry,
-- no account and no charge of their own. They raise check_violation, or insufficient_privilege where only an admin may.

CREATE FUNCTION require_that(holds boolean, what text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  IF holds IS NOT TRUE THEN
    RAISE EXCEPTION 'the books refuse %', what USING ERRCODE = 'check_violation';
  END IF;
END $$;
CREATE FUNCTION require_admin(the_actor text, what text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM users WHERE user_id = the_actor AND role = 'admin') THEN
    RAISE EXCEPTION 'only an admin may %', what USING ERRCODE = 'insufficient_privilege';
  END IF;
END $$;

-- Accounts.
CREATE FUNCTION open_account(the_owner text, the_kind text, the_period text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
DECLARE made bigint;
BEGIN
  INSERT INTO accounts (owner, kind, period) VALUES (the_owner, the_kind, the_period) RETURNING id INTO made;
  RETURN made;
END $$;

CREATE FUNCTION locked_accounts(owners jsonb, periods jsonb) RETURNS SETOF accounts LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
  SELECT * FROM accounts WHERE owner IN (SELECT jsonb_array_elements_text(owners)) AND kind IN ('usd', 'tokens')
    AND period IN (SELECT jsonb_array_elements_text(periods)) ORDER BY owner = '*', id FOR UPDATE
$$;

CREATE FUNCTION enter_grant(the_account bigint, the_kind text, the_amount bigint, why text, the_actor text, stamp text)
RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
BEGIN
  UPDATE accounts SET granted = coalesce(granted, 0) + the_amount WHERE id = the_account;
  PERFORM require_that(FOUND, 'an entry of no account');
  INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at)
  VALUES (the_account, the_kind, the_amount, why, the_actor, stamp);
END $$;

-- An admin's grant or correction of somebody's energy.
CREATE FUNCTION grant_energy(the_account bigint, the_kind text, the_amount bigint, why text, the_actor text, stamp text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'grant energy');
  PERFORM require_that(EXISTS (SELECT 1 FROM accounts WHERE id = the_account AND kind = 'energy'), 'a grant of no energy');
  PERFORM enter_grant(the_account, the_kind, the_amount, why, the_actor, stamp);
END $$;

-- A month's energy, once a month and user.
CREATE FUNCTION grant_month(the_user text, the_account bigint, the_amount bigint, the_month text, the_actor text, stamp text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_that(the_month = left(stamp, 7), 'the grant of another month');
  UPDATE users SET granted_period = the_month, granted_energy = the_amount
    WHERE user_id = the_user AND granted_period < the_month;
  PERFORM require_that(FOUND, 'a second grant in one month');
  PERFORM require_that(EXISTS (SELECT 1 FROM accounts WHERE id = the_account AND owner = the_user AND kind = 'energy'),
    'a grant to somebody else');
  PERFORM enter_grant(the_account, 'grant', the_amount, 'month ' || the_month, the_actor, stamp);
END $$;

-- The cap of an account for dollars or tokens, null for none, and what was used of its window before it was opened.
CREATE FUNCTION set_cap(the_account bigint, before bigint, cap bigint, the_actor text, stamp text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE was bigint;
BEGIN
  UPDATE accounts SET base = before WHERE id = the_account AND kind <> 'energy' RETURNING granted INTO was;
  PERFORM require_that(FOUND, 'a cap on no account');
  IF cap IS NULL AND was IS NOT NULL THEN
    PERFORM enter_grant(the_account, 'adjust', -was, 'cap removed', the_actor, stamp);
    UPDATE accounts SET granted = NULL WHERE id = the_account;
  ELSIF cap IS NOT NULL AND was IS NULL THEN
    PERFORM enter_grant(the_account, 'grant', cap, 'cap', the_actor, stamp);
  ELSIF cap <> was THEN
    PERFORM enter_grant(the_account, 'adjust', cap - was, 'cap changed', the_actor, stamp);
  END IF;
END $$;

-- What an attempt holds, `items` [[account, amount], …]: as much of dollars and tokens as the attempt says. False, and nothing
-- is held, where an account does not cover it.
CREATE FUNCTION hold_accounts(the_attempt bigint, items jsonb, the_actor text, stamp text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE t attempts;
BEGIN
  SELECT * INTO t FROM attempts WHERE id = the_attempt AND state IN ('held', 'sent') FOR UPDATE;
  PERFORM require_that(FOUND AND NOT EXISTS (SELECT 1 FROM ledger_entries WHERE attempt = the_attempt), 'a second hold');
  PERFORM require_that(NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements(items) AS x(i) LEFT JOIN accounts a ON a.id = (i->>0)::bigint
    WHERE CASE a.kind WHEN 'usd' THEN (i->>1)::bigint <> t.hold WHEN 'tokens' THEN (i->>1)::bigint <> t.hold_tokens
      WHEN 'energy' THEN t.n <> 1 OR (i->>1)::bigint < 0 ELSE true END), 'a hold that is not its attempt''s');
  BEGIN
    PERFORM change_accounts((SELECT jsonb_agg(i || '[0, 0]') FROM jsonb_array_elements(items) AS x(i)), 'NX002');
  EXCEPTION WHEN SQLSTATE 'NX002' THEN
    RETURN false;
  END;
  INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at)
  SELECT the_attempt, (i->>0)::bigint, 'hold', (i->>1)::bigint, the_actor, stamp FROM jsonb_array_elements(items) AS x(i);
  RETURN true;
END $$;

-- End an attempt's holds on accounts of the kinds in `spend`: dollars are posted as its actual cost, or given back with it.
CREATE FUNCTION settle_accounts(the_attempt bigint, spend jsonb, why text, the_actor text, stamp text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE t attempts; items jsonb;
BEGIN
  SELECT * INTO t FROM attempts WHERE id = the_attempt;
  PERFORM require_that(FOUND, 'an entry of no attempt');
  IF spend ? 'usd' OR spend ? 'tokens' THEN
    PERFORM require_that(t.state IN ('posted', 'voided') AND (spend->>'usd')::bigint IS NOT DISTINCT FROM t.actual
      AND (spend->>'tokens' IS NULL) = (t.state = 'voided'), 'a charge that is not its attempt''s');
  END IF;
  IF spend ? 'energy' THEN
    PERFORM require_that(EXISTS (SELECT 1 FROM requests WHERE request_id = t.request_id AND state <> 'open'),
      'energy of a request that goes on');
  END IF;
  PERFORM require_that(NOT EXISTS (SELECT 1 FROM jsonb_each_text(spend) s WHERE s.value::bigint < 0), 'less than nothing');
  items := settle(the_attempt, spend, why, jsonb_build_object('actor', the_actor), stamp);
  IF items <> '[]' THEN
    PERFORM change_accounts(items, 'check_violation');
  END IF;
END $$;

-- Requests.
CREATE FUNCTION enter_request(request text, the_user text, the_feature text, the_key text, the_fingerprint text, stamp text)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at)
  VALUES (request, the_user, the_feature, the_key, the_fingerprint, 'open', stamp) ON CONFLICT (request_id) DO NOTHING;
  RETURN FOUND;
END $$;

-- What was voided lets another request have its idempotency key.
CREATE FUNCTION free_key(the_user text, the_key text, but_of text) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
  UPDATE requests SET key = NULL WHERE user_id = the_user AND key = the_key AND state = 'voided' AND request_id <> but_of
$$;

-- What is posted stays posted: an answer was delivered.
CREATE FUNCTION move_request(request text, to_state text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_that(NOT EXISTS (SELECT 1 FROM requests WHERE request_id = request AND state = 'posted' AND to_state <> 'posted'),
    'to take back an answer');
  UPDATE requests SET state = to_state WHERE request_id = request;
END $$;

CREATE FUNCTION keep_kept_answer(request text, the_answer text) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ UPDATE requests SET answer = the_answer WHERE request_id = request $$;

CREATE FUNCTION expire_keys(oldest text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
  UPDATE requests SET key = NULL, answer = NULL WHERE key IS NOT NULL AND created_at < oldest AND state IN ('posted', 'voided')
$$;

-- Attempts.
CREATE FUNCTION enter_attempt(p jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
DECLARE made bigint;
BEGIN
  PERFORM require_that(p->>'state' IN ('held', 'sent') AND EXISTS (
    SELECT 1 FROM requests WHERE request_id = p->>'request_id' AND state = 'open'), 'an attempt of no open request');
  INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim, created_at,
    deployment)
  VALUES (p->>'request_id', (p->>'n')::bigint, p->>'model', p->>'price', (p->>'estimate')::bigint, (p->>'hold')::bigint,
    (p->>'hold_tokens')::bigint, p->>'state', p->>'owner', p->>'deadline', (p->>'plan')::jsonb, p->>'claim', p->>'created_at',
    p->>'deployment')
  ON CONFLICT (claim) WHERE claim IS NOT NULL DO NOTHING RETURNING id INTO made;
  RETURN made;
END $$;

-- The trigger refuses what the table of states does not have.
CREATE FUNCTION move_attempt(the_attempt bigint, to_state text, the_actual bigint, why text, the_failure text,
  the_provider_id text, settled text, ended boolean) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
  UPDATE attempts SET state = to_state, actual = the_actual, reason = coalesce(why, reason),
    failure = coalesce(the_failure, failure), provider_id = coalesce(the_provider_id, provider_id), settled_at = settled,
    claim = CASE WHEN NOT ended THEN claim END WHERE id = the_attempt
$$;

CREATE FUNCTION let_go_of_claims(request text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ UPDATE attempts SET claim = CASE state WHEN 'unknown' THEN request_id || '/' || n END
  WHERE request_id = request AND claim IS NOT NULL $$;

CREATE FUNCTION end_stale_claims() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
  UPDATE attempts SET claim = NULL WHERE claim IS NOT NULL AND state IN ('posted', 'voided')
    AND EXISTS (SELECT 1 FROM requests r WHERE r.request_id = attempts.request_id AND r.state <> 'open')
$$;

CREATE FUNCTION count_tokens(the_attempt bigint, tokens bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ UPDATE attempts SET used_tokens = tokens WHERE id = the_attempt $$;

-- Predictions and usage.
CREATE FUNCTION predict(prediction jsonb, rejected text, stamp text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN PERFORM enter_prediction(NULL, prediction, rejected, stamp); END $$;

CREATE FUNCTION settle_prediction(request text, tokens bigint, cost bigint, accuracy float8) RETURNS void LANGUAGE sql
SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
  UPDATE ai_cost_predictions SET actual_tokens = coalesce(tokens, actual_tokens),
    actual_cost_usd = coalesce(actual_cost_usd, 0) + cost, prediction_accuracy = coalesce(accuracy, prediction_accuracy)
  WHERE request_id = request
$$;

-- What was posted is what its attempt cost; anything else cost nothing.
CREATE FUNCTION record_usage(row_of jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$
DECLARE cost bigint := coalesce((row_of->>'cost_usd')::bigint, 0);
BEGIN
  PERFORM require_that(CASE row_of->>'outcome' WHEN 'posted' THEN EXISTS (
      SELECT 1 FROM attempts WHERE request_id = row_of->>'request_id' AND n = (row_of->>'n')::bigint AND actual = cost)
    ELSE cost = 0 END, 'usage that nobody was charged');
  PERFORM enter_usage(jsonb_build_array(row_of));
END $$;

CREATE FUNCTION deliver_usage(request text, the_n bigint, the_energy bigint, baseline bigint, compression bigint, warnings jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_that(EXISTS (SELECT 1 FROM requests WHERE request_id = request AND state = 'open'), 'a second delivery');
  UPDATE ai_model_usage SET energy = the_energy, baseline_usd = baseline, compression_saved_usd = compression,
    metadata = metadata || jsonb_build_object('delivered', true, 'warnings', warnings)
  WHERE request_id = request AND n = the_n;
END $$;

-- Users: everybody begins in the first tier; the rest is an admin's.
CREATE FUNCTION add_user(the_user text, daily bigint, stamp text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  INSERT INTO users (user_id, tier, daily_token_budget, created_at) VALUES (the_user, 'free', daily, stamp);
  INSERT INTO tier_history VALUES (the_user, stamp, 'free')
    ON CONFLICT (user_id, since) DO UPDATE SET tier = excluded.tier;
END $$;

CREATE FUNCTION set_daily_tokens(the_user text, daily bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ UPDATE users SET daily_token_budget = daily WHERE user_id = the_user $$;

CREATE FUNCTION set_tier(the_user text, to_tier text, daily bigint, energy bigint, the_actor text, stamp text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'set a tier');
  INSERT INTO tier_history SELECT user_id, stamp, to_tier FROM users WHERE user_id = the_user AND tier <> to_tier
    ON CONFLICT (user_id, since) DO UPDATE SET tier = excluded.tier;
  UPDATE users SET tier = to_tier, daily_token_budget = daily, granted_energy = greatest(granted_energy, energy)
    WHERE user_id = the_user;
END $$;

CREATE FUNCTION set_role(the_user text, to_role text, only_reads boolean, the_actor text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'set a role');
  UPDATE users SET role = to_role, reads_only = only_reads::int WHERE user_id = the_user;
END $$;

CREATE FUNCTION set_budget(the_owner text, the_unit text, the_window text, the_scope text, the_cap bigint, the_actor text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  -- Who makes a key may give it its first budgets.
  IF NOT (the_scope = 'key' AND the_cap IS NOT NULL
      AND EXISTS (SELECT 1 FROM api_keys WHERE '*key:' || id = the_owner AND created_by = the_actor)
      AND NOT EXISTS (SELECT 1 FROM budgets WHERE owner = the_owner AND unit = the_unit AND "window" = the_window)) THEN
    PERFORM require_admin(the_actor, 'set a budget');
  END IF;
  DELETE FROM budgets WHERE owner = the_owner AND unit = the_unit AND "window" = the_window;
  IF the_cap IS NOT NULL THEN
    INSERT INTO budgets (owner, unit, "window", scope, cap) VALUES (the_owner, the_unit, the_window, the_scope, the_cap);
  END IF;
END $$;

-- A person's texts in the tables of money; what they cost stays. How many rows lost some, by kind.
CREATE FUNCTION forget_texts(whose text, the_actor text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
DECLARE n bigint; gone jsonb := '{}';
BEGIN
  IF the_actor <> whose THEN
    PERFORM require_admin(the_actor, 'forget somebody else');
  END IF;
  UPDATE requests SET answer = NULL, key = NULL WHERE user_id = whose AND answer IS NOT NULL;
  GET DIAGNOSTICS n = ROW_COUNT;
  gone := gone || jsonb_build_object('kept_answers', n);
  UPDATE attempts SET reason = NULL WHERE reason IS NOT NULL
    AND request_id IN (SELECT request_id FROM requests WHERE user_id = whose);
  GET DIAGNOSTICS n = ROW_COUNT;
  gone := gone || jsonb_build_object('failures', n);
  UPDATE ai_model_usage SET metadata = metadata - 'message' - 'warnings'
    WHERE user_id = whose AND (metadata ? 'message' OR metadata ? 'warnings');
  GET DIAGNOSTICS n = ROW_COUNT;
  gone := gone || jsonb_build_object('messages', n);
  UPDATE ai_cost_predictions SET decision = decision - 'weighed' WHERE user_id = whose AND decision ? 'weighed';
  GET DIAGNOSTICS n = ROW_COUNT;
  gone := gone || jsonb_build_object('decisions', n);
  UPDATE ai_model_usage SET metadata = metadata - 'doubt' WHERE user_id = whose AND metadata ? 'doubt';
  GET DIAGNOSTICS n = ROW_COUNT;
  gone := gone || jsonb_build_object('doubts', n);
  UPDATE requests SET fingerprint = '' WHERE user_id = whose AND key IS NULL AND fingerprint <> '';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN gone || jsonb_build_object('fingerprints', n);
END $$;

-- From here on the application's role writes none of these itself.
REVOKE INSERT, UPDATE, DELETE ON ledger_entries, accounts, attempts, requests, ai_cost_predictions, ai_model_usage, users, budgets,
  tier_history FROM nexscout_service;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_account, locked_accounts, grant_energy, grant_month, set_cap, hold_accounts, settle_accounts,
  enter_request, free_key, move_request, keep_kept_answer, expire_keys, enter_attempt, move_attempt, let_go_of_claims,
  end_stale_claims, count_tokens, predict, settle_prediction, record_usage, deliver_usage, add_user, set_daily_tokens, set_tier,
  set_role, set_budget, forget_texts TO nexscout_service;
