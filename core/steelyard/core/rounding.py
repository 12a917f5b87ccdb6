"""The only places where an integer division rounds; each name says which way."""


def mul_div_down(left: int, right: int, divisor: int) -> int:
    """Return ``floor(left * right / divisor)``, for either sign of the product."""
    return left * right // divisor


def mul_div_up(left: int, right: int, divisor: int) -> int:
    """Return ``ceil(left * right / divisor)``, for either sign of the product."""
    return -(-left * right // divisor)


def mul_div_towards_zero(left: int, right: int, divisor: int) -> int:
    """Return ``left * right / divisor`` without its fraction, for either sign of the product."""
    product = left * right
    return product // divisor if product >= 0 else -(-product // divisor)


def mul_div_half_up(left: int, right: int, divisor: int) -> int:
    """Return ``left * right / divisor`` rounded to the nearest integer, halves upwards; ``divisor > 0``."""
    return (2 * left * right + divisor) // (2 * divisor)


def ppm_up(value: int, rate_ppm: int) -> int:
    """Return ``ceil(value * rate_ppm / 10**6)``, for either sign of the product."""
    return -(-value * rate_ppm // 1_000_000)


def ppm_down(value: int, rate_ppm: int) -> int:
    """Return ``floor(value * rate_ppm / 10**6)``, for either sign of the product."""
    return value * rate_ppm // 1_000_000


def exact_div(value: int, divisor: int) -> int | None:
    """Return ``value / divisor`` if that is an integer, else None."""
    quotient, remainder = divmod(value, divisor)
    return None if remainder else quotient
