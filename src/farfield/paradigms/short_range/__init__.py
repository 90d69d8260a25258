"""Room ``short_range``."""
