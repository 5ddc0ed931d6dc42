"""Mail settings, and emails that pages send."""
