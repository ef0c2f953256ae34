"""``python -m cli.output KIND TEMPLATE < DOCUMENT``: print what ``docker KIND inspect -f TEMPLATE`` prints.

The tool uses the streams and exit codes of ``docker inspect``. A template that cannot be parsed gives exit code 64. A
template that fails during execution gives exit code 1 and an empty line on stdout.
"""

from __future__ import annotations

import sys

from cli.gotemplate.errors import TemplateExecError, TemplateSyntaxError
from cli.gotemplate.text import decode, encode
from cli.output.inspection import KINDS, Inspector


def main(argv: list[str]) -> int:
    """Render the document on standard input; return the exit code.

    ``argv`` has two items: the kind of object, such as "network", and the template. For any other ``argv``, return 2.
    """
    if len(argv) != 2 or argv[0] not in KINDS:
        sys.stderr.write(f"usage: python -m cli.output {{{','.join(KINDS)}}} TEMPLATE < DOCUMENT\n")
        return 2
    output, error_text, code = "\n", "", 0
    try:
        inspector = Inspector(*argv)
        output = inspector.render(decode(sys.stdin.buffer.read()))
    except TemplateSyntaxError as error:
        output, error_text, code = "", f"{error}\n", error.exit_code
    except TemplateExecError as error:
        error_text, code = f"{error}\n", error.exit_code
    except ValueError as error:
        error_text, code = f"unable to read inspect data: {error}\n", 1
    sys.stdout.buffer.write(encode(output))
    sys.stderr.buffer.write(encode(error_text))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
