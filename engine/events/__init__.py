"""Events: what happens to networks, containers and images, as ``docker events`` shows it."""
