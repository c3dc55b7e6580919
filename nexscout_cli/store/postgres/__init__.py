"""The books in PostgreSQL, which several machines share."""
