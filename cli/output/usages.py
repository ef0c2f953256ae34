"""Flag descriptions that many commands share."""

FORMATTING = """'json':             Print in JSON format
'TEMPLATE':         Print output using the given Go template.
Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"""

INSPECT_FORMAT = f"Format output using a custom template:\n{FORMATTING}"

LIST_FORMAT = f"""Format output using a custom template:
'table':            Print output in table format with column headers (default)
'table TEMPLATE':   Print output in table format using the given Go template
{FORMATTING}"""
