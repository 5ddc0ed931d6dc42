"""The branding section: title, pictures, colors, texts."""
