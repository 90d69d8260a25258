"""Room ``lode``."""
