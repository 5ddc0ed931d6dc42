"""The features section: plan, overrides, modules, roles, limits, subscription."""
