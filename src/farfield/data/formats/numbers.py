"""Numbers as people and Fortran write them; nothing else passes for one."""

import re

_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_FORTRAN = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+)[dD][+-]?[0-9]+")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NO_LETTER = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+)[+-][0-9]{3}")
_GLUED = re.compile(r"[+-]?[0-9]*\.[0-9]+([+-][0-9]*\.[0-9]+)+")

LOGICAL = {
    "T": True, "F": False, "true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False,
}  # fmt: skip


def real(token: str) -> float:
    """The number that a token is, D exponents of Fortran among them.

    Raises:
        ValueError: it is none.
    """
    if _PLAIN.fullmatch(token):
        return float(token)
    if _FORTRAN.fullmatch(token):
        return float(token.replace("D", "e").replace("d", "e"))
    raise ValueError(token)


def whole(token: str) -> int:
    """The integer that a token is.

    Raises:
        ValueError: it is none, or longer than 18 digits.
    """
    if _WHOLE.fullmatch(token):
        return int(token)
    raise ValueError(token)


def logical(token: str) -> bool:
    """The truth value that a token is: T, F, true, false in three spellings, 1 or 0.

    Raises:
        ValueError: it is none.
    """
    if token in LOGICAL or token in ("0", "1"):
        return LOGICAL.get(token, token == "1")
    raise ValueError(token)


def is_number(token: str) -> bool:
    """Tell whether ``real`` takes a token."""
    return bool(_PLAIN.fullmatch(token) or _FORTRAN.fullmatch(token))


def why_no_number(token: str) -> str:
    """Guess what a token that is no number was meant to be; empty where nobody knows."""
    if set(token) == {"*"}:
        return "Fortran ran out of columns"
    if _NO_LETTER.fullmatch(token):
        return "an exponent that has lost its letter? write 1.0E-100, not 1.0-100"
    if _GLUED.fullmatch(token):
        return "numbers run into one another? put blanks between them"
    return ""
