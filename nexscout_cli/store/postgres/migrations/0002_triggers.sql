-- What the tables see to themselves. Every function has a fixed search path and its owner's rights.

CREATE FUNCTION profile_of_new_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN INSERT INTO user_efficiency_profiles (user_id) VALUES (new.user_id); RETURN NULL; END $$;
CREATE TRIGGER profile_of_new_user AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION profile_of_new_user();

CREATE FUNCTION world_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'world_version'; RETURN NULL; END $$;
CREATE TRIGGER models_move_the_world AFTER INSERT OR UPDATE OR DELETE ON ai_model_configs
FOR EACH STATEMENT EXECUTE FUNCTION world_moves();
CREATE TRIGGER tiers_move_the_world AFTER UPDATE OF tier ON users FOR EACH STATEMENT EXECUTE FUNCTION world_moves();

CREATE FUNCTION attempts_move_forward() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  IF NOT (new.state = old.state AND old.state <> 'posted' OR old.state = 'held' AND new.state IN ('sent', 'voided')
      OR old.state = 'sent' AND new.state IN ('posted', 'unknown', 'voided')
      OR old.state = 'unknown' AND new.state IN ('posted', 'voided')) THEN
    RAISE EXCEPTION 'an attempt cannot change that way' USING ERRCODE = 'check_violation';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER attempts_move_forward BEFORE UPDATE OF state ON attempts FOR EACH ROW
EXECUTE FUNCTION attempts_move_forward();

CREATE FUNCTION entries_stay() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN RAISE EXCEPTION 'ledger entries are append-only' USING ERRCODE = 'check_violation'; END $$;
CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
FOR EACH STATEMENT EXECUTE FUNCTION entries_stay();

CREATE FUNCTION add_to_sums(d usage_by_user_day, the_model text, the_feature text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$ BEGIN
  INSERT INTO usage_by_user_day AS t SELECT d.*
  ON CONFLICT (user_id, day) DO UPDATE SET
    requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
    failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
    energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
    avoided_usd = t.avoided_usd + excluded.avoided_usd,
    compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
    tokens_saved = t.tokens_saved + excluded.tokens_saved;
  INSERT INTO usage_by_model_day AS t SELECT d.day, the_model, the_feature, pg_backend_pid() % 16,
    d.requests, d.calls, d.hits, d.failures, d.input_tokens, d.output_tokens, d.cost_usd, d.energy,
    d.baseline_usd, d.avoided_usd, d.compression_saved_usd, d.tokens_saved
  ON CONFLICT (day, model, feature, slice) DO UPDATE SET
    requests = t.requests + excluded.requests, calls = t.calls + excluded.calls, hits = t.hits + excluded.hits,
    failures = t.failures + excluded.failures, input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd,
    energy = t.energy + excluded.energy, baseline_usd = t.baseline_usd + excluded.baseline_usd,
    avoided_usd = t.avoided_usd + excluded.avoided_usd,
    compression_saved_usd = t.compression_saved_usd + excluded.compression_saved_usd,
    tokens_saved = t.tokens_saved + excluded.tokens_saved;
END $$;

-- A request counts with its first row.
CREATE FUNCTION usage_entered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  PERFORM add_to_sums(ROW(new.user_id, substr(new.created_at, 1, 10),
    CASE WHEN EXISTS (SELECT 1 FROM ai_model_usage u WHERE u.request_id = new.request_id AND u.id <> new.id)
      THEN 0 ELSE 1 END,
    (new.outcome = 'posted')::int, (new.outcome = 'hit')::int, (new.outcome = 'failed')::int,
    new.input_tokens, new.output_tokens, new.cost_usd, new.energy, new.baseline_usd, new.avoided_usd,
    new.compression_saved_usd, new.tokens_saved)::usage_by_user_day,
    new.model_used, new.feature);
  RETURN NULL;
END $$;
CREATE TRIGGER usage_entered AFTER INSERT ON ai_model_usage FOR EACH ROW EXECUTE FUNCTION usage_entered();

-- A cascade's first answer is posted before it is known whether it will be the one that is delivered.
CREATE FUNCTION usage_delivered_late() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  PERFORM add_to_sums(ROW(new.user_id, substr(new.created_at, 1, 10), 0, 0, 0, 0,
    0, 0, 0, new.energy - old.energy, new.baseline_usd - old.baseline_usd, 0, 0, 0)::usage_by_user_day,
    new.model_used, new.feature);
  RETURN NULL;
END $$;
CREATE TRIGGER usage_delivered_late AFTER UPDATE OF energy, baseline_usd ON ai_model_usage
FOR EACH ROW EXECUTE FUNCTION usage_delivered_late();
