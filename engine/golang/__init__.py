"""Go's regular expressions, file name patterns, quoting and time formats, as Docker's API and output use them."""
