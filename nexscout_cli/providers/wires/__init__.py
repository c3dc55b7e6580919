"""Providers' own protocols over HTTP: what a call looks like as bytes, and what bytes say in return."""
