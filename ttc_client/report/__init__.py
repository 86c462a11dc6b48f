"""Show results to people. Nothing here needs a server."""
