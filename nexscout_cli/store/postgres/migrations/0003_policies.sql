-- Who may do what. Three kinds of logins:
--   whoever migrates owns everything;
--   a member of nexscout_service, the application's role, reads and writes the books and owns nothing;
--   a member of nexscout_member, a person's login, reads the rows of the user that `members` names for it.
-- A login is its session's: no setting, SET ROLE or search path changes it.

DO $$ DECLARE name text; BEGIN
  FOREACH name IN ARRAY ARRAY['nexscout_service', 'nexscout_member'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', name);
      END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was faster
    END;
  END LOOP;
  IF NOT pg_has_role(current_user, 'nexscout_service', 'USAGE') THEN
    EXECUTE format('GRANT nexscout_service TO %I', current_user);
  END IF;
END $$;

CREATE TABLE members (login text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C" NOT NULL);

CREATE FUNCTION me() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = nexscout, pg_temp
AS $$ SELECT user_id FROM members WHERE login = session_user $$;

REVOKE ALL ON SCHEMA nexscout FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA nexscout FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA nexscout FROM PUBLIC;
GRANT USAGE ON SCHEMA nexscout TO nexscout_service, nexscout_member;
GRANT EXECUTE ON FUNCTION me() TO nexscout_service, nexscout_member;

-- The application: no deleting of what is money, no changing of entries, no sums but by triggers.
GRANT SELECT ON ALL TABLES IN SCHEMA nexscout TO nexscout_service;
REVOKE ALL ON members FROM nexscout_service;
GRANT INSERT, UPDATE ON users, user_efficiency_profiles, ai_model_configs, requests, attempts, accounts,
  ai_cost_predictions, ai_model_usage, cached_ai_responses, output_lengths, input_factors, thinking, feedback, api_keys,
  budgets TO nexscout_service;
GRANT INSERT ON ledger_entries TO nexscout_service;
GRANT UPDATE (value) ON meta TO nexscout_service;
GRANT DELETE ON cached_ai_responses, feedback, budgets TO nexscout_service;

GRANT SELECT ON meta, ai_model_configs, users, user_efficiency_profiles, requests, attempts, accounts, ledger_entries,
  ai_cost_predictions, ai_model_usage, cached_ai_responses, feedback, usage_by_user_day, migrations TO nexscout_member;

-- Before version 15 a view reads with its owner's rights: there it is the application's alone.
DO $$ BEGIN
  IF current_setting('server_version_num')::int >= 150000 THEN
    ALTER VIEW user_energy SET (security_invoker = true);
    GRANT SELECT ON user_energy TO nexscout_member;
  END IF;
END $$;

DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'nexscout' LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY service ON %I TO nexscout_service USING (true)', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['users', 'user_efficiency_profiles', 'requests', 'ai_cost_predictions', 'ai_model_usage',
      'cached_ai_responses', 'feedback', 'usage_by_user_day'] LOOP
    EXECUTE format('CREATE POLICY own ON %I FOR SELECT TO nexscout_member USING (user_id = (SELECT me()))', name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['meta', 'ai_model_configs', 'migrations'] LOOP
    EXECUTE format('CREATE POLICY everyone ON %I FOR SELECT TO nexscout_member USING (true)', name);
  END LOOP;
END $$;
CREATE POLICY own ON accounts FOR SELECT TO nexscout_member USING (owner = (SELECT me()));
CREATE POLICY own ON attempts FOR SELECT TO nexscout_member USING (EXISTS (
  SELECT 1 FROM requests r WHERE r.request_id = attempts.request_id AND r.user_id = (SELECT me())));
CREATE POLICY own ON ledger_entries FOR SELECT TO nexscout_member USING (EXISTS (
  SELECT 1 FROM accounts a WHERE a.id = ledger_entries.account AND a.owner = (SELECT me())));
