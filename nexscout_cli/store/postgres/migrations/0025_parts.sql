-- Of the hour that goes on its beginning may be folded, up to a minute: what changes before that marks the hour.
CREATE OR REPLACE FUNCTION hour_changes(at text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN
  IF substr(at, 1, 16) < (SELECT max(hour) FROM fold_marks WHERE is_end = 1) THEN
    INSERT INTO fold_marks VALUES (substr(at, 1, 13), 0) ON CONFLICT (hour, is_end) DO UPDATE SET hour = excluded.hour;
  END IF;
END $$;
CREATE OR REPLACE FUNCTION rows_change_hours() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = nexscout, pg_temp AS $$ BEGIN
  PERFORM hour_changes(min(created_at)) FROM changed
    WHERE substr(created_at, 1, 16) < (SELECT max(m.hour) FROM fold_marks m WHERE is_end = 1)
    GROUP BY substr(created_at, 1, 13);
  RETURN NULL;
END $$;
