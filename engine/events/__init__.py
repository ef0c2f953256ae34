"""Events: changes of networks, containers and images, as ``docker events`` shows them."""
