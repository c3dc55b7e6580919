"""Settings and the places of files: the table, its values from files and environment, and where the files live."""

from __future__ import annotations

from nexscout_cli.config.files import read_file, save
from nexscout_cli.config.locations import (
    PROJECT_FILE,
    cache_dir,
    config_dir,
    data_dir,
    db_path,
    db_place,
    db_url,
    has_db,
    home,
    is_url,
    other_url,
    rates_dir,
    secrets_dir,
    user_file,
    without_password,
)
from nexscout_cli.config.settings import Settings, UnknownVariable, load, unknown_variables
from nexscout_cli.config.table import FEATURE_FIRST, MOST_WORKERS, SETTINGS, TIER_DEFAULTS, Setting, Tier
from nexscout_cli.config.values import check, env_name, known, parse

__all__ = [
    "FEATURE_FIRST",
    "PROJECT_FILE",
    "MOST_WORKERS",
    "SETTINGS",
    "Setting",
    "Settings",
    "TIER_DEFAULTS",
    "Tier",
    "UnknownVariable",
    "cache_dir",
    "check",
    "config_dir",
    "data_dir",
    "db_path",
    "db_place",
    "db_url",
    "env_name",
    "has_db",
    "home",
    "is_url",
    "other_url",
    "known",
    "load",
    "parse",
    "rates_dir",
    "read_file",
    "save",
    "secrets_dir",
    "unknown_variables",
    "user_file",
    "without_password",
]
