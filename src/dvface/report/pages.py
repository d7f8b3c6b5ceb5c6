"""One self-contained HTML page around a table."""

from jinja2 import Environment

from dvface.report.tables import Table

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.best { font-weight: bold; }
.second { text-decoration: underline; }
tbody tr:hover { background: #f4f4f4; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<table>
<thead><tr>
{%- for column in table.columns %}
<th{% if table.numeric(loop.index0) %} class="number"{% endif %}>{{ column.heading }}</th>
{%- endfor %}
</tr></thead>
<tbody>
{%- for row in table.shown() %}
<tr>
{%- for cell in row %}
<td class="{{ 'number ' if table.numeric(loop.index0) }}{{ cell.mark.value }}">{{ cell.text }}</td>
{%- endfor %}
</tr>
{%- endfor %}
</tbody>
</table>
</body>
</html>
"""


def table_page(title: str, table: Table) -> str:
    """HTML of ``table`` under ``title``, best bold and second underlined; it loads nothing from elsewhere."""
    return Environment(autoescape=True).from_string(PAGE).render(title=title, table=table)
