-- A person's login hears which months are archived and where, and not what all of them together asked for and paid.
REVOKE SELECT ON archives FROM nexscout_member;
GRANT SELECT (month, until, first_at, folder) ON archives TO nexscout_member;
