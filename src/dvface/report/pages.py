"""One self-contained HTML page around a table."""

from dvface.report.shell import render
from dvface.report.tables import Table

PAGE = """{% extends "shell" %}
{% from "table" import show %}
{% block body %}{{ show(table) }}
{% for note in table.notes.sentences %}<p>{{ note }}</p>
{% endfor %}{% endblock %}
"""


def table_page(title: str, table: Table) -> str:
    """HTML of ``table`` and its notes, best bold and second underlined; it loads nothing from elsewhere."""
    return render(PAGE, title=title, table=table)
