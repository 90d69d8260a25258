"""Room ``charges``."""
