"""Docker's flag values: one pure parser each, from the user's text to typed values or to Docker's own error text.

Every parser raises ``ValueError`` with the text that Docker prints. The caller adds any text before and after it. No
parser uses click, the engine's verbs or the terminal.
"""
