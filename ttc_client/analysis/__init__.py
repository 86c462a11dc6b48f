"""Turn finished runs into numbers. Nothing here needs a server."""
