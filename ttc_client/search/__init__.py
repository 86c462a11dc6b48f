"""Search strategies and all that they share: ports, parameters, steps, votes and results."""
