"""The running client: ports stacked on servers, searches run on them, their directory on disk."""
