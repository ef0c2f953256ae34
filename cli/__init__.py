"""What the user asked: the click command tree, its texts and its tables."""
