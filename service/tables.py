"""Every module that has tables, imported so that `Base.metadata` is whole for the migrations."""

from importlib import import_module

NAMES = (
    "account_hospitals",
    "accounts",
    "acquisitions",
    "alert_deliveries",
    "alerts",
    "audit",
    "browser_sessions",
    "callers",
    "capabilities",
    "circuits",
    "consult_messages",
    "consults",
    "contacts",
    "deliveries",
    "descriptions",
    "disagreements",
    "findings",
    "flags",
    "grants",
    "hospital_modes",
    "hospitals",
    "hubs",
    "identities",
    "metrics",
    "peers",
    "priors",
    "referral_serials",
    "referral_steps",
    "referrals",
    "reports",
    "result_objects",
    "reviews",
    "rosters",
    "saved_views",
    "series",
    "share_links",
    "sign_in_attempts",
    "studies",
    "travel_times",
    "typed_times",
)
"""In alphabetical order; a module with tables that is not here fails the test of the migrations."""

TABLE_MODULES = tuple(import_module(f"service.{name}") for name in NAMES)
