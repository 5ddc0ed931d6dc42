"""Figures on pages: sums by currency, sales by what their type says, charts."""
