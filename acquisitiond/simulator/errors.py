"""Owns the SCPI-1999 error numbers the simulated CTP10 can report, with their exact texts.

Refuses a number without a text: what is not in the table cannot be reported.
"""

from typing import Final

TEXTS: Final = {
    0: "No error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -111: "Header separator error",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -121: "Invalid character in number",
    -123: "Exponent too large",
    -124: "Too many digits",
    -131: "Invalid suffix",
    -138: "Suffix not allowed",
    -151: "Invalid string data",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -241: "Hardware missing",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
}


class ScpiError(Exception):
    """What goes into the instrument's error queue instead of an answer.

    `code` is a key of `TEXTS`; the text of the exception is the queue's line for it.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"{code},{TEXTS[code]}")
        self.code = code
