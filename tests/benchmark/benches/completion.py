"""Bench: measure how long bash waits after the user presses TAB, with the product's own completion script."""

from __future__ import annotations

from pathlib import Path

from tests.benchmark.products import Docker, Hawse, Product, products
from tests.benchmark.results import Row, Settings, Table
from tests.benchmark.turns import turns
from tests.conftest import CHECKOUT

NETWORKS = 20
LINES = {
    "a subcommand (network i⇥)": "network i",
    "a network's name (network inspect ⇥)": "network inspect ",
    "a flag (network create --s⇥)": "network create --s",
}
SCRIPT = """
source /usr/share/bash-completion/bash_completion 2>/dev/null; source "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9 COMP_KEY=9
read -ra COMP_WORDS <<< "$2"; [[ $2 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
function=$(complete -p "$3"); function=${function##*-F }; function=${function%% *}
before=${EPOCHREALTIME/./}
$function "$3" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}" 2>/dev/null
echo "$((${EPOCHREALTIME/./} - before)) ${#COMPREPLY[@]}"
"""


def run(settings: Settings, state: Path) -> list[Table]:
    """Measure the time of one TAB with each product; the products take turns."""
    with products(state, Hawse, Docker) as (_, started):
        scripts = {product.name: script(product) for product in started}
        for product in started:
            for number in range(NETWORKS):
                product("network", "create", f"net{number}")
        rows = [Row(what, target=0.4) for what in LINES]
        for _, order in turns(started, settings.pick(20, 5)):
            for row, line in zip(rows, LINES.values(), strict=True):
                for product in order:
                    row.add(product.name, press(product, scripts[product.name], line))
    return [Table("completion", "TAB", "ms", tuple(scripts), rows)]


def script(product: Product) -> Path:
    """Return the path at which the product's completion script is installed."""
    if isinstance(product, Hawse):
        return CHECKOUT / "completions" / "hawse.bash"
    path = product.state / "completion.bash"
    path.write_text(product("completion", "bash").output)
    return path


def press(product: Product, script: Path, line: str) -> float:
    """Call the completion function in bash as TAB after a line does, and return the milliseconds that it takes.

    Raises RuntimeError if the completion offers nothing.
    """
    outcome = product.runner("bash", "-c", SCRIPT, "bash", str(script), f"{product.name} {line}", product.name)
    microseconds, offered = map(int, outcome.output.split())
    if not offered:
        raise RuntimeError(f"{product.name} offers nothing behind {line!r}")
    return microseconds / 1000
