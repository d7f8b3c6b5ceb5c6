"""What every HTML page shares: a head that lets nothing be loaded, a style for light and dark, tables."""

import base64
import hashlib

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from dvface.report.escape import printable
from dvface.report.tables import Table

# The policy stops scripts other than the page's own and requests even where escaping should fail.
SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; \
style-src 'unsafe-inline'{% if script %}; script-src 'sha256-{{ script | digest }}'{% endif %}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #666; --line: #ddd; --shade: #f4f4f4; }
@media (prefers-color-scheme: dark) {
:root { --ink: #ddd; --paper: #181a1b; --faint: #999; --line: #3a3d3f; --shade: #232627; }
}
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: var(--ink); background: var(--paper); }
@media (max-width: 40rem) { body { margin: 1rem; } }
.table { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.best { font-weight: bold; }
.second { text-decoration: underline; }
td small { display: inline-block; font-weight: normal; text-decoration: none; }
tbody tr:hover { background: var(--shade); }
.wrapped td:not(.number) { min-width: 8rem; white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
.wrapped td.number { vertical-align: top; }
{% block style %}{% endblock %}
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% block body %}{% endblock %}
{% if script %}<script>{{ script | safe }}</script>
{% endif %}</body>
</html>
"""
TABLE = """
{%- macro show(table, wrapped=false) %}
{%- set numeric = table | numeric_columns %}
<div class="table{{ ' wrapped' if wrapped }}"><table>
<thead><tr>
{%- for column in table.columns %}
<th{% if numeric[loop.index0] %} class="number"{% endif %}>{{ column.heading }}</th>
{%- endfor %}
</tr></thead>
<tbody>
{%- for row in table.shown() %}
<tr>
{%- for cell in row %}
<td class="{{ 'number ' if numeric[loop.index0] }}{{ cell.mark.value }}">{{ cell.number }}
{%- if cell.interval %} <small>{{ cell.interval }}</small>{% endif %}</td>
{%- endfor %}
</tr>
{%- endfor %}
</tbody>
</table></div>
{%- endmacro %}
"""


def render(template: str, script: str = "", **values: object) -> str:
    """One self-contained page; every text in ``values`` is escaped unless it is `markupsafe.Markup`.

    Args:
        template: extends ``shell`` and fills its blocks ``style`` and ``body``; ``show(table, wrapped)`` from
            ``table`` writes a `Table`, its texts broken into lines where they are ``wrapped``.
        script: JavaScript of our own, the only one that the page may run; no text from elsewhere is in it.
        values: of the template; ``title`` is the heading.

    Returns:
        HTML that encodes as UTF-8 and loads nothing from elsewhere.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=DictLoader({"shell": SHELL, "table": TABLE}),
        finalize=_shown,
    )
    environment.filters["numeric_columns"] = _numeric_columns
    environment.filters["digest"] = _digest
    return environment.from_string(template).render(values, script=script)


def _digest(script: str) -> Markup:
    """As the policy names a script that may run."""
    return Markup(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())  # noqa: S704 - Base64


def _numeric_columns(table: Table) -> list[bool]:
    return [table.numeric(index) for index in range(len(table.columns))]


def _shown(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
