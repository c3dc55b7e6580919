"""The engine: pure decisions at the centre, and the pipeline that strings them. No Typer, no Rich, no SQL, no I/O of its own."""
