"""One paced, retried, believed request."""
