"""The module policy: what no push may name."""
