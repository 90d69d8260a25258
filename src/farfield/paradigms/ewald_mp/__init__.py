"""Room ``ewald_mp``."""
