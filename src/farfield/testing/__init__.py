"""The contract checks, public: for strangers' paradigms too."""

from farfield.testing.contract import CHECKS, check_paradigm

__all__ = ["CHECKS", "check_paradigm"]
