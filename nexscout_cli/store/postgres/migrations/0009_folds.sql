-- What reports need of finished hours and days, folded; hours in which something has changed since are marked.

CREATE TABLE fold_marks (
  hour text COLLATE "C" NOT NULL,
  is_end smallint NOT NULL CHECK (is_end IN (0, 1)),
  PRIMARY KEY (hour, is_end)
);
CREATE TABLE folded_usage (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  requests bigint NOT NULL,
  calls bigint NOT NULL,
  hits bigint NOT NULL,
  failures bigint NOT NULL,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cost_usd bigint NOT NULL,
  energy bigint NOT NULL,
  baseline_usd bigint NOT NULL,
  avoided_usd bigint NOT NULL,
  compression_saved_usd bigint NOT NULL,
  tokens_saved bigint NOT NULL,
  hit_tokens bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, model, feature)
);
CREATE TABLE folded_latency (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  took bigint NOT NULL,
  calls bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, model, took)
);
CREATE TABLE folded_predictions (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  predicted bigint NOT NULL,
  actual bigint NOT NULL,
  formula bigint NOT NULL,
  p90 bigint NOT NULL,
  error bigint NOT NULL,
  formula_error bigint NOT NULL,
  accuracy bigint NOT NULL,
  bounded bigint NOT NULL,
  covered bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, feature, model)
);
CREATE TABLE folded_errors (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  feature text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  of_what text COLLATE "C" NOT NULL,
  error bigint NOT NULL,
  n bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, feature, model, of_what, error)
);
CREATE TABLE folded_classes (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  class text COLLATE "C" NOT NULL,
  tokens bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, class)
);
CREATE TABLE folded_failures (
  owner text COLLATE "C" NOT NULL,
  hours smallint NOT NULL CHECK (hours IN (1, 24)),
  period text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  label text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  retries bigint NOT NULL,
  fallbacks bigint NOT NULL,
  PRIMARY KEY (owner, hours, period, model, label)
);

-- A mark that is there already is written again: who folds that hour waits for this transaction, or this one for them.
CREATE FUNCTION hour_changes(at text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN
  IF substr(at, 1, 13) < (SELECT max(hour) FROM fold_marks WHERE is_end = 1) THEN
    INSERT INTO fold_marks VALUES (substr(at, 1, 13), 0) ON CONFLICT (hour, is_end) DO UPDATE SET hour = excluded.hour;
  END IF;
END $$;
CREATE FUNCTION row_changes_an_hour() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ BEGIN PERFORM hour_changes(new.created_at); RETURN NULL; END $$;
CREATE FUNCTION attempt_changes_an_hour() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN
  PERFORM hour_changes(created_at) FROM attempts WHERE request_id = new.request_id AND n = new.n - 1;
  RETURN NULL;
END $$;
CREATE TRIGGER usage_entered_changes_an_hour AFTER INSERT ON ai_model_usage
FOR EACH ROW EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER usage_updated_changes_an_hour AFTER UPDATE OF user_id, feature, model_used, outcome, token_classes, created_at,
  input_tokens, output_tokens, cost_usd, energy, baseline_usd, avoided_usd, compression_saved_usd, tokens_saved
ON ai_model_usage FOR EACH ROW EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER prediction_entered_changes_an_hour AFTER INSERT ON ai_cost_predictions
FOR EACH ROW WHEN (new.actual_tokens > 0) EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER prediction_updated_changes_an_hour AFTER UPDATE OF actual_tokens, prediction_accuracy ON ai_cost_predictions
FOR EACH ROW EXECUTE FUNCTION row_changes_an_hour();
CREATE TRIGGER attempt_entered_changes_an_hour AFTER INSERT ON attempts
FOR EACH ROW WHEN (new.n > 1) EXECUTE FUNCTION attempt_changes_an_hour();
CREATE TRIGGER attempt_updated_changes_an_hour AFTER UPDATE OF failure ON attempts
FOR EACH ROW WHEN (new.failure IS DISTINCT FROM old.failure) EXECUTE FUNCTION row_changes_an_hour();

REVOKE ALL ON FUNCTION hour_changes(text), row_changes_an_hour(), attempt_changes_an_hour() FROM PUBLIC;
REVOKE ALL ON fold_marks, folded_usage, folded_latency, folded_predictions, folded_errors, folded_classes,
  folded_failures FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON fold_marks, folded_usage, folded_latency, folded_predictions, folded_errors,
  folded_classes, folded_failures TO nexscout_service;
GRANT SELECT ON fold_marks, folded_usage, folded_latency, folded_predictions, folded_errors, folded_classes,
  folded_failures TO nexscout_member;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['fold_marks', 'folded_usage', 'folded_latency', 'folded_predictions',
    'folded_errors', 'folded_classes', 'folded_failures'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['folded_usage', 'folded_latency', 'folded_predictions',
    'folded_errors', 'folded_classes', 'folded_failures'] LOOP
    EXECUTE format('CREATE POLICY own ON %I FOR SELECT TO nexscout_member USING (owner = (SELECT me()))', name);
  END LOOP;
END $$;
CREATE POLICY everyone ON fold_marks FOR SELECT TO nexscout_member USING (true);
