"""Room ``qeq``."""
