"""Ages in words."""

from datetime import timedelta


def age_in_words(age: timedelta) -> str:
    """An age in whole minutes, hours or days, such as "27 hours"."""
    if age < timedelta(hours=2):
        return f"{age // timedelta(minutes=1)} minutes"
    if age < timedelta(days=2):
        return f"{age // timedelta(hours=1)} hours"
    return f"{age // timedelta(days=1)} days"
