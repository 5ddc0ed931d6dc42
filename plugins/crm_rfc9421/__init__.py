"""HTTP Message Signatures (RFC 9421) with hmac-sha256 and ed25519."""
