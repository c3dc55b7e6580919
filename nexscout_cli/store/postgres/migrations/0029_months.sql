-- Attempts, entries, predictions and usage lie in a table for each month in which their requests began, so that a month can go at
-- once. A request's name begins with its time, and so names its month: a request lies in one month whole, and what is unique for a
-- request (an attempt, a row of usage, a prediction, a hold and its end) is unique over all months. Entries have their request's
-- name for it; grants and corrections have none, and lie in a table that stays. What has an odd name, or came in a month that has
-- no table yet, lies in `…_rest`.

-- The least name that a request of that day can have.
CREATE FUNCTION first_name(day date) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = nexscout, pg_temp AS $$
  SELECT lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 11, '0')
$$;

-- What a single value may be is said of its type: the server reads the rules of a table anew for each statement, a type's once.
CREATE DOMAIN natural_number AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN attempt_state AS text COLLATE "C" CHECK (VALUE IN ('held', 'sent', 'submitted', 'posted', 'unknown', 'voided'));
CREATE DOMAIN entry_kind AS text COLLATE "C" CHECK (VALUE IN ('grant', 'adjust', 'hold', 'post', 'void'));
CREATE DOMAIN usage_outcome AS text COLLATE "C" CHECK (VALUE IN ('posted', 'hit', 'failed'));
CREATE DOMAIN cache_match_kind AS text COLLATE "C" CHECK (VALUE IN ('exact', 'canonical'));
CREATE DOMAIN yes_or_no AS smallint CHECK (VALUE IN (0, 1));
CREATE DOMAIN attempt_number AS bigint CHECK (VALUE > 0);

ALTER TABLE attempts RENAME TO attempts_before;
ALTER TABLE ledger_entries RENAME TO ledger_entries_before;
ALTER TABLE ai_cost_predictions RENAME TO ai_cost_predictions_before;
ALTER TABLE ai_model_usage RENAME TO ai_model_usage_before;

CREATE TABLE attempts (
  id bigint NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  n attempt_number NOT NULL,
  model text COLLATE "C" NOT NULL,
  price text COLLATE "C" NOT NULL,
  estimate bigint NOT NULL,
  hold natural_number NOT NULL,
  hold_tokens natural_number NOT NULL,
  actual bigint,
  state attempt_state NOT NULL,
  owner text COLLATE "C" NOT NULL,
  deadline text COLLATE "C" NOT NULL,
  provider_id text COLLATE "C",
  reason text COLLATE "C",
  plan jsonb NOT NULL,
  claim text COLLATE "C",
  created_at text COLLATE "C" NOT NULL,
  settled_at text COLLATE "C",
  failure text COLLATE "C",
  deployment text COLLATE "C",
  used_tokens natural_number,
  CONSTRAINT attempts_check CHECK ((state = 'posted') = (actual IS NOT NULL)),
  CONSTRAINT attempts_check1 CHECK (claim IS NOT NULL OR state IN ('posted', 'voided'))
) PARTITION BY RANGE (request_id);

CREATE TABLE ledger_entries (
  id bigint NOT NULL,
  attempt bigint,
  account bigint NOT NULL,
  kind entry_kind NOT NULL,
  amount bigint NOT NULL,
  reason text COLLATE "C",
  actor text COLLATE "C" NOT NULL,
  created_at text COLLATE "C" NOT NULL,
  of_request text COLLATE "C" NOT NULL DEFAULT '',
  CONSTRAINT ledger_entries_check CHECK (amount >= 0 OR kind = 'adjust'),
  CONSTRAINT ledger_entries_check1 CHECK ((attempt IS NULL) = (kind IN ('grant', 'adjust'))),
  CONSTRAINT ledger_entries_request_check CHECK ((attempt IS NULL) = (of_request = ''))
) PARTITION BY RANGE (of_request);

CREATE TABLE ai_cost_predictions (
  id bigint NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  predicted_tokens bigint NOT NULL,
  predicted_output_tokens bigint NOT NULL,
  predicted_cost_usd bigint NOT NULL,
  max_cost_usd bigint NOT NULL,
  predicted_energy bigint NOT NULL,
  formula_tokens bigint NOT NULL,
  recommended_model text COLLATE "C" NOT NULL,
  routing_reason text COLLATE "C" NOT NULL,
  actual_tokens bigint,
  actual_cost_usd bigint,
  prediction_accuracy double precision,
  approved yes_or_no NOT NULL,
  rejected_reason text COLLATE "C",
  created_at text COLLATE "C" NOT NULL,
  predicted_tokens_p90 bigint,
  decision jsonb
) PARTITION BY RANGE (request_id);

CREATE TABLE ai_model_usage (
  id bigint NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  model_used text COLLATE "C" NOT NULL,
  outcome usage_outcome NOT NULL,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  total_tokens bigint GENERATED ALWAYS AS (input_tokens + output_tokens) STORED,
  cost_usd bigint NOT NULL DEFAULT 0,
  energy bigint NOT NULL DEFAULT 0,
  mode text COLLATE "C" NOT NULL,
  routing_reason text COLLATE "C" NOT NULL,
  compression_applied smallint NOT NULL DEFAULT 0,
  cached_response smallint NOT NULL DEFAULT 0,
  prediction_accuracy double precision,
  baseline_usd bigint NOT NULL DEFAULT 0,
  avoided_usd bigint NOT NULL DEFAULT 0,
  compression_saved_usd bigint NOT NULL DEFAULT 0,
  tokens_saved bigint NOT NULL DEFAULT 0,
  metadata jsonb NOT NULL DEFAULT '{}',
  created_at text COLLATE "C" NOT NULL,
  cache_match cache_match_kind,
  token_classes text COLLATE "C" NOT NULL DEFAULT '{}',
  provider_cost_usd bigint
) PARTITION BY RANGE (request_id);

-- The tables by month, how full their pages are made (rows that change need room), and what names a row's request.
CREATE FUNCTION tables_by_month(OUT name text, OUT fill int, OUT key text) RETURNS SETOF record LANGUAGE sql IMMUTABLE
SET search_path = nexscout, pg_temp AS $$
  VALUES ('attempts', 60, 'request_id'), ('ledger_entries', 100, 'of_request'), ('ai_cost_predictions', 80, 'request_id'),
    ('ai_model_usage', 100, 'request_id')
$$;

-- A part of a table, guarded as the table is: who may read that reads the part through it, and not by its own name.
CREATE FUNCTION new_part(of_table text, part text, fill int) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp
AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED) WITH (fillfactor = %s)',
    part, of_table, fill);
  EXECUTE format('REVOKE ALL ON %I FROM PUBLIC, nexscout_service, nexscout_member', part);
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
  EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', part);
  IF of_table = 'ledger_entries' THEN
    EXECUTE format('CREATE TRIGGER entries_stay BEFORE UPDATE OR TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION entries_stay()', part);
  END IF;
END $$;

-- The tables of a month, where there are none; what lies in `…_rest` of it is moved there.
CREATE FUNCTION make_month(of_month date) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  low text := first_name(of_month);
  high text := first_name((of_month + interval '1 month')::date);
  of record;
  part text;
  rest text;
  names text;
  has_some boolean;
BEGIN
  FOR of IN SELECT * FROM tables_by_month() LOOP
    part := of.name || to_char(of_month, '_YYYY_MM');
    rest := of.name || '_rest';
    IF to_regclass('nexscout.' || part) IS NULL THEN
      PERFORM new_part(of.name, part, of.fill);
      EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
      EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I WHERE %I >= %L AND %2$I < %4$L)', rest, of.key, low, high) INTO has_some;
      IF has_some THEN
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO names FROM pg_attribute
          WHERE attrelid = to_regclass('nexscout.' || part) AND attnum > 0 AND attgenerated = '' AND NOT attisdropped;
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', rest); -- they are not removed from the books
        EXECUTE format('WITH moved AS (DELETE FROM %1$I WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING %5$s)
          INSERT INTO %6$I (%5$s) SELECT * FROM moved', rest, of.key, low, high, names, part);
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', rest);
      END IF;
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', of.name, part, low, high);
    END IF;
  END LOOP;
END $$;

-- Make those of the months in which requests began that a table names: their names are 11 hexadecimal digits of the
-- milliseconds, then chance.
CREATE FUNCTION make_months_of(a_table text, key text) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE of_month date;
BEGIN
  FOR of_month IN EXECUTE format(
    'SELECT DISTINCT date_trunc(''month'', to_timestamp((''x'' || lpad(left(%I, 11), 16, ''0''))::bit(64)::bigint / 1000.0)
      AT TIME ZONE ''UTC'')::date FROM %I WHERE %1$I ~ ''^[0-9a-f]{21}$'' AND %1$I BETWEEN %3$L AND %L', key, a_table,
    first_name('2020-01-01'), first_name((now() AT TIME ZONE 'UTC')::date + 31))
  LOOP
    IF of_month >= coalesce((SELECT max(until)::date FROM archives), '-infinity') THEN -- what stays of those lies in `…_rest`
      PERFORM make_month(of_month);
    END IF;
  END LOOP;
END $$;

-- Whether the tables of this month or the next are to be made.
CREATE FUNCTION months_due() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
  SELECT to_regclass(to_char(now() AT TIME ZONE 'UTC', '"nexscout.ai_model_usage_"YYYY_MM')) IS NULL
    OR to_regclass(to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month', '"nexscout.ai_model_usage_"YYYY_MM')) IS NULL
$$;

-- Make them. It waits for nobody for long, for all who write wait behind it: then it is done the next time.
CREATE FUNCTION make_months() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
SET lock_timeout = '300ms' AS $$
DECLARE this date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
BEGIN
  PERFORM pg_advisory_xact_lock(1853358086);
  PERFORM make_month(this), make_month((this + interval '1 month')::date);
  PERFORM make_months_of(name || '_rest', key) FROM tables_by_month();
END $$;

DO $$ DECLARE of record; BEGIN
  FOR of IN SELECT * FROM tables_by_month() LOOP
    PERFORM new_part(of.name, of.name || '_rest', of.fill);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', of.name, of.name || '_rest');
  END LOOP;
  PERFORM new_part('ledger_entries', 'ledger_entries_grants', 100);
  ALTER TABLE ledger_entries ATTACH PARTITION ledger_entries_grants FOR VALUES FROM (MINVALUE) TO ('0');
  PERFORM make_months_of(name || '_before', key) FROM tables_by_month() WHERE key = 'request_id';
  PERFORM make_months();
END $$;

INSERT INTO attempts SELECT * FROM attempts_before ORDER BY id;
INSERT INTO ledger_entries SELECT e.*, coalesce(t.request_id, CASE WHEN e.attempt IS NULL THEN '' ELSE '?' END)
  FROM ledger_entries_before e LEFT JOIN attempts_before t ON t.id = e.attempt ORDER BY e.id;
INSERT INTO ai_cost_predictions SELECT * FROM ai_cost_predictions_before ORDER BY id;
INSERT INTO ai_model_usage (id, request_id, n, user_id, feature, model_used, outcome, input_tokens, output_tokens, cost_usd, energy,
  mode, routing_reason, compression_applied, cached_response, prediction_accuracy, baseline_usd, avoided_usd,
  compression_saved_usd, tokens_saved, metadata, created_at, cache_match, token_classes, provider_cost_usd)
  SELECT id, request_id, n, user_id, feature, model_used, outcome, input_tokens, output_tokens, cost_usd, energy,
  mode, routing_reason, compression_applied, cached_response, prediction_accuracy, baseline_usd, avoided_usd,
  compression_saved_usd, tokens_saved, metadata, created_at, cache_match, token_classes, provider_cost_usd
  FROM ai_model_usage_before ORDER BY id;

-- Ids go on where they are. (Identity columns of tables with parts are known from version 17 on.)
DROP FUNCTION move(jsonb, text, text, boolean, boolean), end_attempt(attempts_before, bigint, text, jsonb, text);
DO $$ DECLARE of record; next_id bigint; BEGIN
  FOR of IN SELECT name, name || '_id_seq' AS numbers FROM tables_by_month() LOOP
    EXECUTE format('SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM %I', of.numbers) INTO next_id;
    EXECUTE format('DROP TABLE %I', of.name || '_before');
    EXECUTE format('CREATE SEQUENCE %I START %s OWNED BY %I.id', of.numbers, next_id, of.name);
    EXECUTE format('ALTER TABLE %I ALTER id SET DEFAULT nextval(%L)', of.name, 'nexscout.' || of.numbers);
    EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', of.name);
    EXECUTE format('GRANT SELECT ON %I TO nexscout_service, nexscout_member', of.name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', of.name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', of.name);
  END LOOP;
END $$;
CREATE POLICY own ON attempts FOR SELECT TO nexscout_member USING (EXISTS (
  SELECT 1 FROM requests r WHERE r.request_id = attempts.request_id AND r.user_id = (SELECT me())));
CREATE POLICY own ON ledger_entries FOR SELECT TO nexscout_member USING (EXISTS (
  SELECT 1 FROM accounts a WHERE a.id = ledger_entries.account AND a.owner = (SELECT me())));
CREATE POLICY own ON ai_cost_predictions FOR SELECT TO nexscout_member USING (user_id = (SELECT me()));
CREATE POLICY own ON ai_model_usage FOR SELECT TO nexscout_member USING (user_id = (SELECT me()));

ALTER TABLE attempts ADD PRIMARY KEY (request_id, n);
CREATE INDEX attempts_by_id ON attempts (id);
CREATE INDEX attempts_live ON attempts (claim) WHERE claim IS NOT NULL;
CREATE INDEX attempts_failed ON attempts (created_at) WHERE failure IS NOT NULL;
CREATE INDEX attempts_by_deployment ON attempts (model, deployment, created_at) WHERE deployment IS NOT NULL;
CREATE INDEX entries_by_id ON ledger_entries (id);
CREATE UNIQUE INDEX held_once_settled_once ON ledger_entries (attempt, account, (kind = 'hold'), of_request)
  WHERE attempt IS NOT NULL;
CREATE INDEX grants_by_account ON ledger_entries (account) WHERE attempt IS NULL;
ALTER TABLE ai_cost_predictions ADD PRIMARY KEY (request_id);
CREATE INDEX predictions_by_id ON ai_cost_predictions (id);
CREATE INDEX predictions_by_time ON ai_cost_predictions (created_at, approved);
ALTER TABLE ai_model_usage ADD PRIMARY KEY (request_id, n);
CREATE INDEX usage_by_id ON ai_model_usage (id);
CREATE INDEX usage_by_time ON ai_model_usage (created_at);
CREATE INDEX usage_by_user ON ai_model_usage (user_id, created_at);
CREATE INDEX usage_hits ON ai_model_usage (feature, cache_match, user_id, tokens_saved, avoided_usd) WHERE outcome = 'hit';
CREATE INDEX usage_classes ON ai_model_usage (created_at) WHERE token_classes <> '{}';
CREATE INDEX usage_audited ON ai_model_usage (created_at) WHERE routing_reason = 'audit';

CREATE TRIGGER attempts_move_forward BEFORE UPDATE OF state ON attempts FOR EACH ROW
WHEN ((new.state = old.state AND old.state <> 'posted' OR old.state = 'held' AND new.state IN ('sent', 'submitted', 'voided')
  OR old.state IN ('sent', 'submitted') AND new.state IN ('posted', 'unknown', 'voided')
  OR old.state = 'unknown' AND new.state IN ('posted', 'voided')) IS NOT TRUE) EXECUTE FUNCTION attempts_move_forward();
CREATE TRIGGER attempt_entered_changes_an_hour AFTER INSERT ON attempts
FOR EACH ROW WHEN (new.n > 1) EXECUTE FUNCTION attempt_changes_an_hour();
CREATE TRIGGER attempt_updated_changes_an_hour AFTER UPDATE OF failure ON attempts
FOR EACH ROW WHEN (new.failure IS DISTINCT FROM old.failure) EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER claim_ended AFTER UPDATE OF claim ON attempts FOR EACH ROW
WHEN (old.claim IS NOT NULL AND new.claim IS DISTINCT FROM old.claim AND old.claim <> old.request_id || '/' || old.n)
EXECUTE FUNCTION claim_ended();
CREATE TRIGGER entries_stay BEFORE UPDATE OR TRUNCATE ON ledger_entries FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();
CREATE TRIGGER entries_remain BEFORE DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION entries_remain();
CREATE TRIGGER prediction_entered_changes_an_hour AFTER INSERT ON ai_cost_predictions
FOR EACH ROW WHEN (new.actual_tokens > 0) EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER prediction_updated_changes_an_hour AFTER UPDATE ON ai_cost_predictions REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION rows_change_hours();
CREATE TRIGGER usage_updated_changes_an_hour AFTER UPDATE OF user_id, feature, model_used, outcome, token_classes, created_at,
  input_tokens, output_tokens, cost_usd, energy, baseline_usd, avoided_usd, compression_saved_usd, tokens_saved
ON ai_model_usage FOR EACH ROW EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER usage_delivered_late AFTER UPDATE OF energy, baseline_usd, compression_saved_usd ON ai_model_usage
FOR EACH ROW EXECUTE FUNCTION usage_delivered_late();
CREATE TRIGGER usage_summed AFTER INSERT ON ai_model_usage REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION usage_entered();

-- A claim on a cache key is one open attempt's in all months; one on itself is by its name.
CREATE TABLE claims (claim text COLLATE "C" PRIMARY KEY, request_id text COLLATE "C" NOT NULL, n bigint NOT NULL);
INSERT INTO claims SELECT claim, request_id, n FROM attempts WHERE claim <> request_id || '/' || n;
REVOKE ALL ON claims FROM PUBLIC;
GRANT SELECT ON claims TO nexscout_service;
ALTER TABLE claims ENABLE ROW LEVEL SECURITY;
ALTER TABLE claims FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON claims TO nexscout_service USING (true);
CREATE FUNCTION claim_begun() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$ BEGIN
  INSERT INTO claims VALUES (new.claim, new.request_id, new.n) ON CONFLICT (claim) DO NOTHING;
  IF NOT FOUND AND NOT EXISTS (SELECT 1 FROM claims WHERE claim = new.claim AND request_id = new.request_id AND n = new.n) THEN
    RAISE EXCEPTION 'another request is open' USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER claim_begun AFTER INSERT ON attempts FOR EACH ROW WHEN (new.claim <> new.request_id || '/' || new.n)
EXECUTE FUNCTION claim_begun();
-- See 0016.
CREATE OR REPLACE FUNCTION claim_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN
  DELETE FROM claims WHERE claim = old.claim AND request_id = old.request_id AND n = old.n;
  IF NOT pg_try_advisory_xact_lock(1853358085, hashtext(old.claim)) THEN
    PERFORM pg_notify('nexscout_ended', hashtext(old.claim)::text);
  END IF;
  RETURN NULL;
END $$;

-- See 0013. Null where another request has the claim.
CREATE OR REPLACE FUNCTION enter_attempt(p jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
DECLARE made bigint;
BEGIN
  PERFORM require_that(p->>'state' IN ('held', 'sent') AND EXISTS (
    SELECT 1 FROM requests WHERE request_id = p->>'request_id' AND state = 'open'), 'an attempt of no open request');
  IF p->>'claim' <> (p->>'request_id') || '/' || (p->>'n') THEN
    INSERT INTO claims VALUES (p->>'claim', p->>'request_id', (p->>'n')::bigint) ON CONFLICT (claim) DO NOTHING;
    IF NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  INSERT INTO attempts (request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim, created_at,
    deployment)
  VALUES (p->>'request_id', (p->>'n')::bigint, p->>'model', p->>'price', (p->>'estimate')::bigint, (p->>'hold')::bigint,
    (p->>'hold_tokens')::bigint, p->>'state', p->>'owner', p->>'deadline', (p->>'plan')::jsonb, p->>'claim', p->>'created_at',
    p->>'deployment')
  RETURNING id INTO made;
  RETURN made;
END $$;

-- See 0013.
CREATE OR REPLACE FUNCTION hold_accounts(the_attempt bigint, items jsonb, the_actor text, stamp text) RETURNS boolean
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
  INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at, of_request)
  SELECT the_attempt, (i->>0)::bigint, 'hold', (i->>1)::bigint, the_actor, stamp, t.request_id
  FROM jsonb_array_elements(items) AS x(i);
  RETURN true;
END $$;

-- End an attempt's holds on accounts of the kinds in `spend`: posted with that amount, given back where that is null.
CREATE OR REPLACE FUNCTION settle(the_attempt bigint, spend jsonb, why text, p jsonb, stamp text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE found jsonb; request text := (SELECT request_id FROM attempts WHERE id = the_attempt);
BEGIN
  WITH held AS MATERIALIZED (
    SELECT e.account, e.amount, (spend->>a.kind)::bigint AS spent
    FROM ledger_entries e JOIN accounts a ON a.id = e.account
    WHERE e.attempt = the_attempt AND e.of_request = request AND e.kind = 'hold' AND spend ? a.kind AND NOT EXISTS (
      SELECT 1 FROM ledger_entries s WHERE s.attempt = the_attempt AND s.of_request = request
        AND s.account = e.account AND (s.kind = 'hold') = false)),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at, of_request)
    SELECT the_attempt, account, CASE WHEN spent IS NULL THEN 'void' ELSE 'post' END, coalesce(spent, amount), why,
      p->>'actor', stamp, request FROM held)
  SELECT jsonb_agg(jsonb_build_array(account, 0, amount, coalesce(spent, 0))) INTO found FROM held;
  RETURN coalesce(found, '[]');
END $$;

-- See 0008 and 0027; made anew, for these take or return a row of the new table.
CREATE FUNCTION move(p jsonb, stamp text, to_state text, settled boolean, ended boolean) RETURNS attempts LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE t attempts;
BEGIN
  PERFORM subject_of(p, NULL);
  UPDATE attempts SET state = to_state, actual = (p->>'actual')::bigint, reason = coalesce(p->>'reason', reason),
    failure = coalesce(p->>'failure', failure), provider_id = coalesce(p->>'provider_id', provider_id),
    settled_at = CASE WHEN settled THEN stamp END, claim = CASE WHEN NOT ended THEN claim END
  WHERE id = (p->>'id')::bigint AND request_id = p->>'request' AND CASE state WHEN 'held' THEN to_state IN ('sent', 'voided')
    WHEN 'sent' THEN to_state IN ('posted', 'unknown', 'voided') WHEN 'unknown' THEN to_state IN ('posted', 'voided') END
  RETURNING * INTO t;
  IF NOT FOUND OR NOT EXISTS (SELECT 1 FROM requests WHERE request_id = p->>'request' AND user_id = p->>'user') THEN
    RAISE 'no plain case' USING ERRCODE = 'NX001';
  END IF;
  RETURN t;
END $$;

CREATE FUNCTION end_attempt(t attempts, cost bigint, why text, p jsonb, stamp text) RETURNS jsonb LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE
  r requests;
  is_posted boolean := cost IS NOT NULL;
  most jsonb := jsonb_build_array(coalesce(t.plan->'max_input_tokens', t.plan->'forecast'->2),
    coalesce(t.plan->'max_output_tokens', t.plan->'forecast'->3)); -- by name before settlements were kept
  made jsonb;
BEGIN
  SELECT * INTO r FROM requests WHERE request_id = t.request_id;
  UPDATE attempts SET state = CASE WHEN is_posted THEN 'posted' ELSE 'voided' END, actual = cost,
    reason = CASE WHEN is_posted THEN reason ELSE why END, settled_at = stamp, claim = CASE r.state WHEN 'open' THEN claim END
    WHERE request_id = t.request_id AND id = t.id;
  made := jsonb_build_object('accounts', settle(t.id, jsonb_build_object('usd', cost,
    'tokens', CASE WHEN is_posted THEN t.hold_tokens END), why, p, stamp));
  IF is_posted THEN
    UPDATE ai_cost_predictions SET actual_cost_usd = coalesce(actual_cost_usd, 0) + cost WHERE request_id = t.request_id;
    made := made || jsonb_build_object('usage', jsonb_build_object('request_id', t.request_id, 'n', t.n, 'user_id', r.user_id,
      'feature', r.feature, 'model_used', t.model, 'outcome', 'posted', 'input_tokens', most->0, 'output_tokens', most->1,
      'cost_usd', cost, 'mode', t.plan->'mode', 'routing_reason', t.plan->'routing_reason',
      'compression_applied', (t.plan->>'compressed')::boolean::int, 'baseline_usd', cost, 'created_at', stamp,
      'metadata', jsonb_build_object('delivered', false, 'flags', CASE WHEN cost > t.hold
        THEN jsonb_build_array('estimated', why, 'provider_excess') ELSE jsonb_build_array('estimated', why) END)));
  END IF;
  -- The request is closed once none of its attempts is live or unknown; one that was answered stays posted.
  IF r.state <> 'posted' AND NOT EXISTS (SELECT 1 FROM attempts WHERE request_id = t.request_id
      AND state IN ('held', 'sent', 'submitted', 'unknown')) THEN
    made := made || jsonb_build_object('accounts', made->'accounts' || end_request(t.request_id, 'voided', 0, p, stamp));
  END IF;
  RETURN made;
END $$;

-- T1, with T2 where the call follows at once (`state` sent), of requests' first attempts: accounts checked, requests, attempts,
-- entries and predictions entered. What each is told, with the accounts it draws on as `change_accounts` takes them; `error` where
-- it is no plain case. Where somebody's day is to be opened first, nothing is entered before that.
CREATE OR REPLACE FUNCTION make_holds(ps jsonb[], stamp text) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE told jsonb[]; opening boolean; day text := left(stamp, 10); week text := to_char(day::date, 'IYYY-"W"IW');
BEGIN
  FOR turn IN 1 .. 2 LOOP
    WITH s AS MATERIALIZED (
      SELECT n, r.*, b.items, b.opens, CASE WHEN NOT EXISTS (SELECT 1 FROM user_efficiency_profiles
          WHERE user_id = r."user" AND xmin = nullif(r.known, '')::xid) THEN profile_of(r."user", '') END AS profile,
        CASE
          WHEN u.user_id IS NULL OR u.reads_only <> 0 OR u.granted_period < left(stamp, 7)
            OR u.daily_token_budget IS DISTINCT FROM (r.daily->>u.tier)::bigint
            OR (r.actor <> u.user_id AND NOT EXISTS (SELECT 1 FROM users WHERE user_id = r.actor AND role = 'admin'))
            THEN 'NX001'
          WHEN (SELECT value FROM meta WHERE key = 'world_version') <> r.version THEN 'NX002'
          WHEN r.key IS NOT NULL AND EXISTS (SELECT 1 FROM requests WHERE user_id = r."user" AND key = r.key)
            OR EXISTS (SELECT 1 FROM requests WHERE request_id = r.request) THEN 'NX001'
          WHEN r.claim IS NOT NULL AND EXISTS (SELECT 1 FROM claims WHERE claim = r.claim) THEN 'NX003'
          WHEN b.is_odd THEN 'NX001' -- an account is to be opened, or its cap is another one
        END AS error
      FROM unnest(ps) WITH ORDINALITY AS x(p, n)
      CROSS JOIN LATERAL jsonb_to_record(p) AS r("user" text, actor text, request text, known text, daily jsonb, version text,
        key text, claim text, budgets jsonb, fingerprint text, model text, price text, estimate bigint, hold bigint,
        hold_tokens bigint, state text, owner text, seconds float8, plan jsonb, prediction jsonb)
      LEFT JOIN LATERAL (SELECT * FROM users WHERE user_id = r."user") u ON true
      CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_array(a.id, w.amount, 0, 0)) FILTER (WHERE w.entered), '[]') AS items,
          coalesce(bool_or(a.id IS NULL AND w.opens), false) AS opens,
          coalesce(bool_or(CASE WHEN a.id IS NULL THEN w.entered AND NOT w.opens
            ELSE a.granted IS DISTINCT FROM w.cap AND w.unit <> 'energy' END), false) AS is_odd
        FROM (
          SELECT owner, unit, cap, amount, entered, entered AND owner = r."user" AND "window" = 'day' AS opens,
            CASE "window" WHEN 'day' THEN day WHEN 'month' THEN left(stamp, 7) WHEN 'week' THEN week ELSE "window" END AS period
          FROM jsonb_to_recordset(r.budgets) AS y(owner text, unit text, "window" text, cap bigint, amount bigint,
            entered boolean)) w
        LEFT JOIN accounts a ON a.owner = w.owner AND a.kind = w.unit AND a.period = w.period) b),
    fresh AS MATERIALIZED (
      SELECT *, nextval('attempts_id_seq') AS id FROM s
      WHERE error IS NULL AND NOT EXISTS (SELECT 1 FROM s AS o WHERE o.error IS NULL AND o.opens)),
    asked AS (
      INSERT INTO requests (request_id, user_id, feature, key, fingerprint, state, created_at)
      SELECT request, "user", prediction->>2, key, fingerprint, 'open', stamp FROM fresh),
    begun AS (
      INSERT INTO attempts (id, request_id, n, model, price, estimate, hold, hold_tokens, state, owner, deadline, plan, claim,
        created_at)
      SELECT id, request, 1, model, price, estimate, hold, hold_tokens, state, owner,
        to_char(left(stamp, 26)::timestamp + make_interval(secs => seconds), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), plan,
        coalesce(claim, request || '/1'), stamp
      FROM fresh),
    entered AS (
      INSERT INTO ledger_entries (attempt, account, kind, amount, actor, created_at, of_request)
      SELECT id, (i->>0)::bigint, 'hold', (i->>1)::bigint, actor, stamp, request
      FROM fresh, jsonb_array_elements(items) AS y(i)),
    predicted AS (
      INSERT INTO ai_cost_predictions (request_id, user_id, feature, predicted_tokens, predicted_output_tokens,
        predicted_tokens_p90, predicted_cost_usd, max_cost_usd, predicted_energy, formula_tokens, recommended_model,
        routing_reason, decision, approved, created_at)
      SELECT d->>0, d->>1, d->>2, (d->>3)::bigint, (d->>4)::bigint, (d->>5)::bigint, (d->>6)::bigint, (d->>7)::bigint,
        (d->>8)::bigint, (d->>9)::bigint, d->>10, d->>11, d->12, 1, stamp FROM (SELECT prediction AS d FROM fresh) q)
    SELECT array_agg(CASE WHEN id IS NULL THEN jsonb_build_object('error', coalesce(s.error, CASE turn WHEN 1 THEN 'opens' ELSE 'NX001' END))
      ELSE jsonb_build_object('id', id, 'profile', s.profile, 'accounts', s.items) END ORDER BY n),
      bool_or(s.error IS NULL AND s.opens) INTO told, opening
    FROM s LEFT JOIN (SELECT n, id FROM fresh) m USING (n);
    EXIT WHEN turn = 2 OR NOT opening;
    WITH opened AS (
      INSERT INTO accounts (owner, kind, period, granted)
      SELECT DISTINCT ON (w->>'owner', w->>'unit') w->>'owner', w->>'unit', day, (w->>'cap')::bigint
      FROM unnest(ps) WITH ORDINALITY AS x(p, n), jsonb_array_elements(p->'budgets') AS y(w)
      WHERE told[n]->>'error' = 'opens' AND (w->>'entered')::boolean AND w->>'owner' = p->>'user' AND w->>'window' = 'day'
      ON CONFLICT (owner, kind, period) DO NOTHING RETURNING id, owner, granted)
    INSERT INTO ledger_entries (account, kind, amount, reason, actor, created_at)
    SELECT id, 'grant', granted, 'cap', (SELECT p->>'actor' FROM unnest(ps) AS x(p) WHERE p->>'user' = owner LIMIT 1), stamp
    FROM opened WHERE granted IS NOT NULL;
  END LOOP;
  RETURN told;
END $$;

-- T3 of requests' first attempts: each moves to posted, its holds end, its prediction is settled; where its answer is delivered
-- (`delivered`, units of energy) its request and its claim end too.
CREATE OR REPLACE FUNCTION make_posts(ps jsonb[], stamp text) RETURNS jsonb[] LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE
  told jsonb[];
  kept text;
  -- The bounds leave the months in which there is something to do, once for all rows; to compare names row by row costs more.
  low text := ps[1]->>'request';
  high text := low;
BEGIN
  IF array_length(ps, 1) > 1 THEN
    SELECT min((p->>'request') COLLATE "C"), max((p->>'request') COLLATE "C") INTO low, high FROM unnest(ps) AS x(p);
  END IF;
  WITH s AS MATERIALIZED (
    SELECT n, p, r.* FROM unnest(ps) WITH ORDINALITY AS x(p, n)
    CROSS JOIN LATERAL jsonb_to_record(p) AS r("user" text, actor text, request text, id bigint, spend jsonb, flags text,
      actual bigint, tokens bigint, quoted bigint, why text, provider_id text, delivered bigint, answer text)
    -- Single values, for each of which an index is asked; what is joined might be read whole.
    WHERE (SELECT true FROM users WHERE user_id = r."user")
      AND (r.actor = r."user" OR (SELECT role = 'admin' FROM users WHERE user_id = r.actor))
      AND (SELECT user_id = r."user" FROM requests WHERE request_id = r.request)
      AND (SELECT t.request_id = r.request AND t.n = 1 AND t.state IN ('sent', 'unknown') FROM attempts t
        WHERE t.id = r.id AND t.request_id BETWEEN low AND high)),
  moved AS (
    UPDATE attempts t SET state = 'posted', actual = s.actual, reason = coalesce(s.p->>'reason', reason),
      provider_id = coalesce(s.provider_id, t.provider_id), settled_at = stamp, claim = CASE WHEN delivered IS NULL THEN claim END
    FROM s WHERE t.id = s.id AND t.request_id BETWEEN low AND high),
  held AS MATERIALIZED (
    SELECT s.n, s.id, s.request, s.flags, s.actor, e.account, e.amount, (s.spend->>e.unit)::bigint AS spent
    FROM s CROSS JOIN LATERAL (
      SELECT h.account, h.amount, (SELECT a.kind FROM accounts a WHERE a.id = h.account) AS unit,
        (SELECT true FROM ledger_entries o WHERE o.attempt = s.id AND o.account = h.account AND (o.kind = 'hold') = false
          AND o.of_request BETWEEN low AND high) AS ended
      FROM ledger_entries h WHERE h.attempt = s.id AND h.kind = 'hold'
        AND h.of_request BETWEEN low AND high OFFSET 0) e
    WHERE s.spend ? e.unit AND e.ended IS NULL),
  entered AS (
    INSERT INTO ledger_entries (attempt, account, kind, amount, reason, actor, created_at, of_request)
    SELECT id, account, CASE WHEN spent IS NULL THEN 'void' ELSE 'post' END, coalesce(spent, amount), flags, actor, stamp,
      request
    FROM held),
  settled AS (
    UPDATE ai_cost_predictions q SET actual_cost_usd = coalesce(actual_cost_usd, 0) + s.actual,
      actual_tokens = tokens, prediction_accuracy = CASE WHEN quoted > 0
        THEN greatest(0, 1 - abs(tokens - quoted) / quoted::float8) ELSE (tokens = 0 AND quoted = 0)::int END
    FROM s WHERE q.request_id = s.request AND q.request_id BETWEEN low AND high),
  ended AS (
    UPDATE requests r SET state = 'posted', answer = coalesce(s.answer, r.answer)
    FROM s WHERE r.request_id = s.request AND delivered IS NOT NULL)
  SELECT array_agg(CASE WHEN s.n IS NULL THEN '{"error": "NX001"}'
    ELSE jsonb_build_object('alerts', EXISTS (SELECT 1 FROM alerts), 'accounts', coalesce((
        SELECT jsonb_agg(jsonb_build_array(account, 0, amount, coalesce(spent, 0))) FROM held WHERE held.n = s.n), '[]'),
      'usage', s.p->'usage' || jsonb_build_object('created_at', stamp))
      || CASE WHEN s.p ? 'lesson' THEN jsonb_build_object('lesson', s.p->'lesson') ELSE '{}' END END ORDER BY x.n) INTO told
  FROM generate_subscripts(ps, 1) AS x(n) LEFT JOIN s USING (n);
  FOR i IN 1 .. array_length(ps, 1) LOOP
    IF ps[i] ? 'cached' AND NOT told[i] ? 'error' THEN
      kept := keep_answer(ps[i], stamp);
    END IF;
  END LOOP;
  RETURN told;
END $$;

-- What rows of usage add to the sums, and which finished hours they change, in one look at them: sums of a user's day last, for
-- they are the first rows that posts of one user wait for each other at.
CREATE OR REPLACE FUNCTION usage_entered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
DECLARE finished text := (SELECT max(hour) FROM fold_marks WHERE is_end = 1); low text; high text;
BEGIN
  SELECT min(request_id), max(request_id) INTO low, high FROM added;
  WITH rows AS MATERIALIZED (
    SELECT user_id, left(created_at, 10) AS day, model_used, feature, (NOT EXISTS (
        SELECT 1 FROM ai_model_usage u
        WHERE u.request_id = added.request_id AND u.id < added.id AND u.request_id BETWEEN low AND high))::int AS is_first,
      (outcome = 'posted')::int AS is_call, (outcome = 'hit')::int AS is_hit, (outcome = 'failed')::int AS is_failure,
      input_tokens, output_tokens, cost_usd, energy, baseline_usd, avoided_usd, compression_saved_usd, tokens_saved FROM added),
  by_model AS (
    INSERT INTO usage_by_model_day AS t
    SELECT day, model_used, feature, pg_backend_pid() % 16, sum(is_first), sum(is_call), sum(is_hit), sum(is_failure),
      sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(energy), sum(baseline_usd), sum(avoided_usd),
      sum(compression_saved_usd), sum(tokens_saved)
    FROM rows GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (day, model, feature, slice) DO UPDATE SET
      requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
      failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
      output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
      energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
      avoided_usd = t.avoided_usd + excluded.avoided_usd,
      compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
      tokens_saved = t.tokens_saved + excluded.tokens_saved RETURNING 1)
  INSERT INTO usage_by_user_day AS t
  SELECT user_id, day, sum(is_first), sum(is_call), sum(is_hit), sum(is_failure), sum(input_tokens), sum(output_tokens),
    sum(cost_usd), sum(energy), sum(baseline_usd), sum(avoided_usd), sum(compression_saved_usd), sum(tokens_saved)
  FROM rows, (SELECT count(*) FROM by_model) AS before GROUP BY 1, 2 ORDER BY 1, 2
  ON CONFLICT (user_id, day) DO UPDATE SET
    requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
    failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
    energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
    avoided_usd = t.avoided_usd + excluded.avoided_usd,
    compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
    tokens_saved = t.tokens_saved + excluded.tokens_saved;
  IF finished IS NOT NULL THEN
    PERFORM hour_changes(min(created_at)) FROM added WHERE substr(created_at, 1, 16) < finished GROUP BY substr(created_at, 1, 13);
  END IF;
  RETURN NULL;
END $$;

-- Months that are being archived. Who changes a row of one changes its line here: so whoever removes such a month, as it was at one
-- moment, fails where somebody has changed it since, seen or not.
CREATE TABLE leaving_months (month date PRIMARY KEY, changes bigint NOT NULL DEFAULT 0);
REVOKE ALL ON leaving_months FROM PUBLIC;
GRANT SELECT ON leaving_months TO nexscout_service;
ALTER TABLE leaving_months ENABLE ROW LEVEL SECURITY;
ALTER TABLE leaving_months FORCE ROW LEVEL SECURITY;
CREATE POLICY service ON leaving_months TO nexscout_service USING (true);
CREATE FUNCTION month_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$ BEGIN
  UPDATE leaving_months SET changes = changes + 1 WHERE month = tg_argv[0]::date;
  RETURN NULL;
END $$;

-- The months before that day that have tables.
CREATE FUNCTION months_before(day date) RETURNS SETOF date LANGUAGE sql STABLE SET search_path = nexscout, pg_temp AS $$
  SELECT to_date(right(relname, 7), 'YYYY_MM') FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
  WHERE inhparent = 'ai_model_usage'::regclass AND relname ~ '_[0-9]{4}_[0-9]{2}$' AND to_date(right(relname, 7), 'YYYY_MM') < day
  ORDER BY 1
$$;

-- From here on changes of those months are told of.
CREATE FUNCTION watch_months(day date) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE of_month date; part text;
BEGIN
  FOR of_month IN SELECT * FROM months_before(day) LOOP
    INSERT INTO leaving_months VALUES (of_month) ON CONFLICT DO NOTHING;
    FOR part IN SELECT name || to_char(of_month, '_YYYY_MM') FROM tables_by_month() LOOP
      IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = part::regclass AND tgname = 'month_changes') THEN
        EXECUTE format('CREATE TRIGGER month_changes AFTER INSERT OR UPDATE ON %I FOR EACH ROW EXECUTE FUNCTION month_changes(%L)',
          part, of_month);
      END IF;
    END LOOP;
  END LOOP;
END $$;

-- Keep aside the rows of a month that do not leave: those of requests that the temporary table `leaving` does not name.
CREATE FUNCTION keep_aside(of_month date) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp
SET client_min_messages = warning AS $$
DECLARE of record; aside text;
BEGIN
  FOR of IN SELECT * FROM tables_by_month() LOOP
    aside := 'staying_' || of.name;
    EXECUTE format('CREATE TEMP TABLE IF NOT EXISTS %I ON COMMIT DROP AS SELECT * FROM %I WITH NO DATA', aside, of.name);
    EXECUTE format('INSERT INTO pg_temp.%I SELECT p.* FROM %I p WHERE NOT EXISTS (
      SELECT 1 FROM pg_temp.leaving g WHERE g.request_id = p.%I)', aside, of.name || to_char(of_month, '_YYYY_MM'), of.key);
  END LOOP;
END $$;

-- Drop the tables of months; what was kept aside of them lies in `…_rest` then. Only in a transaction that sees one moment, after
-- `watch_months`.
CREATE FUNCTION drop_months(months date[]) RETURNS void LANGUAGE plpgsql SET search_path = nexscout, pg_temp AS $$
DECLARE of record; of_month date; part text; rest text; names text;
BEGIN
  FOR of IN SELECT * FROM tables_by_month() LOOP
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', of.name);
  END LOOP;
  UPDATE leaving_months SET changes = changes + 1 WHERE month = ANY (months);
  FOR of IN SELECT * FROM tables_by_month() LOOP
    rest := of.name || '_rest';
    FOREACH of_month IN ARRAY months LOOP
      part := of.name || to_char(of_month, '_YYYY_MM');
      EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', of.name, part);
      EXECUTE format('DROP TABLE %I', part);
    END LOOP;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO names FROM pg_attribute
      WHERE attrelid = rest::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped;
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', rest); -- they are in the books already
    EXECUTE format('INSERT INTO %I (%s) SELECT %2$s FROM pg_temp.%I', rest, names, 'staying_' || of.name);
    EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', rest);
  END LOOP;
  DELETE FROM leaving_months WHERE month = ANY (months);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
GRANT EXECUTE ON FUNCTION months_due(), make_months() TO nexscout_service;
