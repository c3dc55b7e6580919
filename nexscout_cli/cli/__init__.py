"""The command line: parses, calls, renders. The only importers of Typer and Rich; no rules live here."""
