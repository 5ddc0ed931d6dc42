"""The branding section: title, pictures, colours, texts."""
