"""Room ``wannier``."""
