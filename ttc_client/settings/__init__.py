"""Settings of a search and of its servers, and where they come from."""
