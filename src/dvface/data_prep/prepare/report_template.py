"""How the report of a prepared data set looks: a Jinja template."""

TEMPLATE = """{% extends "shell" %}
{% from "table" import show %}

{% block style %}
{{ histogram_style | safe }}
body { max-width: 80rem; margin-inline: auto; padding-inline: 1rem; }
h2 { margin: 2.5rem 0 .5rem; } h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; } a { color: inherit; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem; }
.numbers dt { color: var(--faint); font-size: .85rem; }
.numbers dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1.5rem;
  align-items: end; }
.strips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: .8rem; }
figure { margin: 0; }
figcaption { font-size: .8rem; color: var(--faint); overflow-wrap: anywhere; }
.histograms figcaption b { color: var(--ink); font-size: 1rem; }
.strips img { display: block; width: 100%; height: auto; background: var(--shade); }
.missing { padding: 1rem; background: var(--shade); }
.group-key { display: inline-block; width: .8em; height: .8em; }
.group-key.group-0 { background: var(--group-0); } .group-key.group-1 { background: var(--group-1); }
pre { overflow-x: auto; padding: 1rem; background: var(--shade); }
.note { color: var(--faint); }
{% endblock %}

{% macro strips(examples) %}
<div class="strips">
{%- for example in examples %}
<figure>
{%- if example.picture %}
<img src="{{ example.picture }}" alt="five frames of {{ example.key }}" width="480" height="96">
{%- else %}<div class="missing">no picture</div>{% endif -%}
<figcaption>{{ example.key }} · {{ example.caption }}</figcaption></figure>
{%- endfor %}
</div>
{% endmacro %}

{% block body %}
<p>Faces were found by {{ detector }}
{%- if detector_files %} ({{ detector_files | join(", ") }}){% endif %}.</p>
{% if not kept %}<p><b>No clip was kept.</b> The table “From candidates to clips” tells why.</p>{% endif %}
<dl class="numbers">
{%- for name, number in headlines %}
<div><dt>{{ name }}</dt><dd>{{ number }}</dd></div>
{%- endfor %}
</dl>
<nav>
{%- for anchor, heading in sections.items() %}<a href="#{{ anchor }}">{{ heading }}</a> {% endfor -%}
</nav>

<h2 id="splits">{{ sections["splits"] }}</h2>
{{ show(splits) }}

<h2 id="funnel">{{ sections["funnel"] }}</h2>
<p class="note">A clip that several filters refuse counts at the first of them, “in all” at each; “by it alone” are the
clips that one filter costs.</p>
{{ show(funnel) }}
<h3>Before there were candidates</h3>
{% if counts.rows %}{{ show(counts) }}{% else %}<p class="note">Nothing was counted.</p>{% endif %}

<h2 id="measures">{{ sections["measures"] }}</h2>
{% if histograms %}
<p><span class="group-key group-0"></span> kept <span class="group-key group-1"></span> refused
<span class="note">– dashed: thresholds of the filters</span></p>
<div class="histograms">
{%- for one in histograms %}
<figure>{{ one.picture | safe }}<figcaption><b>{{ one.name }}</b> 5 %: {{ one.low }} · median {{ one.median }} · 95 %:
{{ one.high }} · {{ "{:,}".format(one.count) }} values</figcaption></figure>
{%- endfor %}
</div>
{% else %}<p class="note">Nothing was measured.</p>{% endif %}

<h2 id="kept">{{ sections["kept"] }}</h2>
{% if kept %}<p class="note">{{ kept | length }} of {{ "{:,}".format(kept_count) }}, spread evenly over the sources;
five frames of each, from first to last.</p>{{ strips(kept) }}
{% else %}<p class="note">No clip was kept.</p>{% endif %}

<h2 id="refused">{{ sections["refused"] }}</h2>
{% for name, examples in refused %}<h3>{{ name }}</h3>{{ strips(examples) }}
{% else %}<p class="note">No clip was refused.</p>{% endfor %}

<h2 id="sources">{{ sections["sources"] }}</h2>
{% if sources.rows %}{{ show(sources, wrapped=true) }}{% else %}<p class="note">There is no source.</p>{% endif %}
{% if more_sources %}<p class="note">… and {{ "{:,}".format(more_sources) }} more.</p>{% endif %}

<h2 id="ignored">{{ sections["ignored"] }}</h2>
{% if ignored.rows %}{{ show(ignored, wrapped=true) }}{% else %}<p class="note">No file was passed over.</p>{% endif %}
{% if more_ignored %}<p class="note">… and {{ "{:,}".format(more_ignored) }} more.</p>{% endif %}

<h2 id="time">{{ sections["time"] }}</h2>
{% if times.rows %}<p class="note">Processor time of all workers together.</p>{{ show(times) }}
{% else %}<p class="note">No time was taken.</p>{% endif %}

<h2 id="settings">{{ sections["settings"] }}</h2>
<details><summary>All settings, JSON</summary><pre>{% for line in settings %}{{ line }}
{% endfor %}</pre></details>
{% endblock %}
"""

SECTIONS = {
    "splits": "Splits",
    "funnel": "From candidates to clips",
    "measures": "Measures",
    "kept": "Kept clips",
    "refused": "Refused clips",
    "sources": "Sources",
    "ignored": "Files passed over",
    "time": "Where the time went",
    "settings": "Settings",
}
"""Headings of the page by anchor, in order."""
