"""All SQL: schema and migrations, the ledger, usage and reports, the cache, profiles, the catalog."""
