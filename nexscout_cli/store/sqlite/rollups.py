"""The sums of usage that are kept: by table, what its keys are of a new row of usage, and its primary key."""

from __future__ import annotations

ROLLUPS = {
    "usage_by_user_day": ({"user_id": "new.user_id", "day": "substr(new.created_at, 1, 10)"}, "user_id, day"),
    "usage_by_model_day": (
        {"day": "substr(new.created_at, 1, 10)", "model": "new.model_used", "feature": "new.feature"},
        "day, model, feature",
    ),
}
