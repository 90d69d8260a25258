"""Room ``scf``."""
