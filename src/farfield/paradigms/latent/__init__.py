"""Room ``latent``."""
