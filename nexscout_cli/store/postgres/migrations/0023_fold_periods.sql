-- The days of all users are found without reading the sums of all days: no key of the table begins with the period.
CREATE INDEX folded_usage_by_period ON folded_usage (hours, period);
