"""For platforms: sign, push and ask for health over HTTP."""
