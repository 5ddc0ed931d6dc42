"""The HTTP server: uvicorn behind a small adapter."""
