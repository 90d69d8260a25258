"""Errors and warnings, by whose hand they are mended."""


class FarfieldError(Exception):
    """Root of all errors raised on purpose."""


class InputError(FarfieldError, ValueError):
    """The caller can mend it: a shape, a unit, a missing key."""


class ConvergenceError(FarfieldError, RuntimeError):
    """An iteration or a solve stopped short of its tolerance."""


class FarfieldWarning(UserWarning):
    """Something that a caller from Python should know, and that will probably spoil what is made of it."""
