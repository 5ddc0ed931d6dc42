"""The workspace section: locale, time zone, currency, business hours."""
