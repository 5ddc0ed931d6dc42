"""The frame around pages and what all pages share: branding, formats, rendering, caches."""
