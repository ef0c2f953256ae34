"""Docker's flag values: one pure parser each, from the user's text to typed values or to Docker's own error text.

Every parser raises ``ValueError`` whose text is what Docker prints; the caller decides what stands before and after it.
Nothing here knows click, the engine's verbs or the terminal.
"""
