"""Room ``polarization``."""
