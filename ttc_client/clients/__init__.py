"""The model servers, seen from the client: every HTTP request of a search is sent from here."""
