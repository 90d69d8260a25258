"""Room ``attention``."""
