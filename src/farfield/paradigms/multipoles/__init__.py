"""Room ``multipoles``."""
