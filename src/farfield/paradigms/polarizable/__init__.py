"""Room ``polarizable``."""
