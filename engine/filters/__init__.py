"""Docker's ``--filter`` rules for containers, images, networks and nodes."""
