"""Personal data in free text: found by its form, and shown as what it was.

Knows e-mail addresses, card numbers (13 to 19 digits that pass Luhn's check, ISO/IEC 7812) and
telephone numbers (7 to 15 digits, E.164, written as one). Does not know names or places: no form
tells them.

Rather one number too many is hidden than one too few. A year, a date, a price and digits in one row
without a + or a 0 before them are no telephone number.
"""

from __future__ import annotations

import re

EMAIL, CARD, PHONE = "(e-mail)", "(card)", "(phone)"
"""What stands where something was."""

_EMAIL = re.compile(r"[\w.+%-]{1,64}\s?(?:@|\(at\))\s?[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", re.I)
_CARD = re.compile(r"(?<![\w+])\d(?:[ -]?\d){12,18}(?!\w)")
_PHONE = re.compile(
    r"(?<![\w.,])(?:"
    r"\+\d(?:[ ()./-]{0,2}\d){6,14}"  # +49 (0)30 1234567
    r"|0\d(?:[ ()./-]{0,2}\d){5,13}"  # 030 / 12 34 56 7
    r"|\(\d{2,5}\)(?:[ ./-]?\d){5,11}"  # (555) 123-4567
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}"  # 555-123-4567
    r"|\d{3}[ .-]\d{4}[ .-]\d{4}"  # 138 1234 5678
    r"|1[3-9]\d{9}"  # 13812345678, as China writes a mobile
    r")(?!\w)"
)
_DATE = re.compile(r"0?\d{1,2}([./-])0?\d{1,2}\1\d{2,4}")


def masked(text: str) -> str:
    """The text with every piece of personal data replaced by its kind."""
    text = _EMAIL.sub(EMAIL, text)
    text = _CARD.sub(lambda found: CARD if passes_luhn(found[0]) else found[0], text)
    return _PHONE.sub(lambda found: found[0] if _DATE.fullmatch(found[0]) else PHONE, text)


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of those before it; others than digits do not
    count."""
    digits = [int(digit) for digit in number if "0" <= digit <= "9"]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0 and any(digits)
