"""Pages: the reports as HTML with charts, for a file and for the server. Figures come from the engine; no rule here."""
