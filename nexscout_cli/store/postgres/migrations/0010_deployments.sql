-- Where models are served beside their own target, what each place takes, and how it did of late.

CREATE TABLE deployments (
  model text COLLATE "C" NOT NULL REFERENCES ai_model_configs,
  name text COLLATE "C" NOT NULL,
  target text COLLATE "C",
  api_base text COLLATE "C",
  api_key_env text COLLATE "C",
  weight bigint NOT NULL CHECK (weight >= 0),
  rpm bigint CHECK (rpm > 0),
  tpm bigint CHECK (tpm > 0),
  concurrency bigint CHECK (concurrency > 0),
  cool_down double precision NOT NULL CHECK (cool_down >= 0),
  input_price bigint CHECK (input_price >= 0),
  output_price bigint CHECK (output_price >= 0),
  class_prices text COLLATE "C" NOT NULL DEFAULT '{}',
  PRIMARY KEY (model, name)
);
CREATE TABLE deployment_states (
  model text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  latency_ms double precision CHECK (latency_ms >= 0),
  error_rate double precision NOT NULL DEFAULT 0 CHECK (error_rate BETWEEN 0 AND 1),
  failures bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
  failure text COLLATE "C",
  cool_until text COLLATE "C",
  PRIMARY KEY (model, name)
);
ALTER TABLE attempts ADD COLUMN deployment text COLLATE "C";
ALTER TABLE attempts ADD COLUMN used_tokens bigint CHECK (used_tokens >= 0);
CREATE INDEX attempts_by_deployment ON attempts (model, deployment, created_at) WHERE deployment IS NOT NULL;
CREATE TRIGGER deployments_move_the_world AFTER INSERT OR UPDATE OR DELETE ON deployments
FOR EACH STATEMENT EXECUTE FUNCTION world_moves();

REVOKE ALL ON deployments, deployment_states FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON deployments, deployment_states TO nexscout_service;
GRANT SELECT ON deployments, deployment_states TO nexscout_member;
DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['deployments', 'deployment_states'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', name);
    EXECUTE format('CREATE POLICY everyone ON %I FOR SELECT TO nexscout_member USING (true)', name);
  END LOOP;
END $$;
