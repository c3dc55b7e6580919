-- Under Supabase (and whoever has its roles) people come through a service that has verified who they are: its login is
-- `authenticator`, and auth.uid() is the person's. Elsewhere a person has a login. `members` names both: a login, or an id of
-- auth.users as text.

DO $$ BEGIN
  IF to_regprocedure('auth.uid()') IS NOT NULL THEN
    CREATE OR REPLACE FUNCTION me() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = nexscout, pg_temp
    AS $f$ BEGIN
      -- Whoever has a login of their own could set the claims to anything: there the login counts, and they don't.
      RETURN (SELECT user_id FROM members
        WHERE login = CASE WHEN session_user = 'authenticator' THEN auth.uid()::text ELSE session_user END);
    END $f$;
  END IF;
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'authenticated') THEN
    GRANT nexscout_member TO authenticated;
  END IF;
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'service_role') THEN
    GRANT nexscout_service TO service_role;
  END IF;
END $$;
