"""Batches that providers answer in their own time, at their price for that."""
