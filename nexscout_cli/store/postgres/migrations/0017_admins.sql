-- What only an admin may change is written by functions that ask whether the actor is one: limits, the catalog, deployments.

CREATE FUNCTION set_limit(the_name text, the_value text, the_actor text, stamp text) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'set a limit');
  DELETE FROM limits WHERE name = the_name;
  IF the_value IS NOT NULL THEN
    INSERT INTO limits (name, value, set_by, set_at) VALUES (the_name, the_value, the_actor, stamp);
  END IF;
END $$;

-- Insert a row, or give the one that has its key these values.
CREATE FUNCTION put_row(into_table regclass, key_columns text[], row_of jsonb) RETURNS void LANGUAGE plpgsql
SET search_path = nexscout, pg_temp AS $$
DECLARE updates text;
BEGIN
  SELECT string_agg(format('%I = excluded.%I', attname, attname), ', ') INTO updates FROM pg_attribute
    WHERE attrelid = into_table AND attnum > 0 AND NOT attisdropped AND attname <> ALL (key_columns);
  EXECUTE format('INSERT INTO %s SELECT * FROM jsonb_populate_record(NULL::%s, $1) ON CONFLICT (%s) DO UPDATE SET %s', into_table,
    into_table, array_to_string(key_columns, ', '), updates) USING row_of;
END $$;

CREATE FUNCTION put_model(row_of jsonb, the_actor text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'change the catalog');
  PERFORM put_row('ai_model_configs', '{model}', row_of);
END $$;

-- What a provider refused is known of every answer; nothing else of a model is.
CREATE FUNCTION remember_refused(the_model text, options jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ UPDATE ai_model_configs SET refused_options = options::text WHERE model = the_model $$;

CREATE FUNCTION put_deployment(row_of jsonb, the_actor text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'change the catalog');
  PERFORM put_row('deployments', '{model,name}', row_of);
END $$;

CREATE FUNCTION remove_deployment(the_model text, the_name text, the_actor text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  PERFORM require_admin(the_actor, 'change the catalog');
  DELETE FROM deployments WHERE model = the_model AND name = the_name;
  DELETE FROM deployment_states WHERE model = the_model AND name = the_name;
END $$;

-- A key is its user's, or an admin makes it.
CREATE FUNCTION enter_key(row_of jsonb, the_actor text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$
BEGIN
  IF row_of->>'user_id' <> the_actor THEN
    PERFORM require_admin(the_actor, 'make a key of somebody else');
  END IF;
  INSERT INTO api_keys SELECT * FROM jsonb_populate_record(NULL::api_keys, row_of);
END $$;

REVOKE INSERT, UPDATE, DELETE ON limits, ai_model_configs, deployments FROM nexscout_service;
REVOKE INSERT, UPDATE, DELETE ON api_keys FROM nexscout_service;
GRANT UPDATE (hash, revoked_at, last_used_at) ON api_keys TO nexscout_service;
REVOKE ALL ON FUNCTION set_limit, put_row, put_model, remember_refused, put_deployment, remove_deployment, enter_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_limit, put_model, remember_refused, put_deployment, remove_deployment, enter_key
  TO nexscout_service;
