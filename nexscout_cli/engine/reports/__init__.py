"""Reports: where the money went. Built from what a store sums up; no SQL here."""
