"""Money as integers: prices in pico-dollars per token, amounts in nano-dollars, rounded up once per call."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation

NANO = 10**9
PICO_PER_NANO = 1000


def cost(input_tokens: int, output_tokens: int, price_in: int, price_out: int) -> int:
    """Nano-dollars for a call, rounded up; prices in pico-dollars per token."""
    pico = input_tokens * price_in + output_tokens * price_out
    return -(-pico // PICO_PER_NANO)


def price_per_1k(text: str | float | Decimal) -> int:
    """Pico-dollars per token from dollars per 1,000 tokens, 0 to 1,000,000 and exact. Raises ValueError on any other price."""
    price = _scaled(text, NANO)
    if Decimal(price) != Decimal(str(text)) * NANO:
        raise ValueError(f"{text!s:.40} is finer than a billionth of a dollar, which prices are kept to")
    return price


def to_nano(text: str | float | Decimal) -> int:
    """Nano-dollars from a decimal amount of dollars, rounded up. Raises ValueError on a negative, huge or non-numeric amount."""
    return _scaled(text, NANO)


def _scaled(text: str | float | Decimal, factor: int) -> int:
    written = str(text)
    try:
        if "_" in written:  # which only programmers read as they mean it
            raise InvalidOperation
        value = Decimal(written)
    except InvalidOperation as error:
        raise ValueError(f"{text!r:.40} is not an amount in dollars") from error
    if not value.is_finite() or value < 0 or value > 10**6:
        raise ValueError(f"{written:.40} is not an amount between 0 and 1,000,000 dollars")
    return int((value * factor).to_integral_value(ROUND_CEILING))


def dollars(nano: int) -> str:
    """Dollars with nine fixed decimals, exact: ``1500`` → ``0.000001500``."""
    sign, nano = ("-", -nano) if nano < 0 else ("", int(nano))
    return f"{sign}{nano // NANO}.{nano % NANO:09d}"


def usd(nano: int) -> Decimal:
    """Dollars as an exact Decimal of nine places, as JSON and programs see them."""
    return Decimal(nano).scaleb(-9)


def energy_for(nano: int, surge_milli: int, nano_per_unit: int) -> int:
    """Energy units for a cost: 0 when free, else max(1, ceil(USD × surge ÷ unit)); surge in thousandths."""
    if nano <= 0:
        return 0
    return max(1, -(-nano * surge_milli // (nano_per_unit * 1000)))


def nano_for_energy(energy: int, surge_milli: int, nano_per_unit: int) -> int:
    """The largest cost in nano-dollars that ``energy`` units cover; inverse of :func:`energy_for`."""
    return energy * nano_per_unit * 1000 // surge_milli
