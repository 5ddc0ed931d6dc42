"""The only place that knows Quart: routes, problems, pages."""
