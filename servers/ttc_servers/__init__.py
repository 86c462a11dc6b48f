"""What runs on the model hosts: scoring server, embedded demo servers, training of their models."""
