from decimal import Decimal


def money(amount_minor: int, currency: str) -> str:
    return f"{Decimal(amount_minor) / 100:,.2f} {currency}"
