"""Room ``latent``."""

from farfield.paradigms.latent.config import LatentConfig
from farfield.paradigms.latent.model import Latent

__all__ = ["Latent", "LatentConfig"]
