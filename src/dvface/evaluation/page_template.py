"""How the page of an evaluation looks: a Jinja template."""

TEMPLATE = """{% extends "shell" %}
{% from "table" import show %}

{% block style %}
{{ line_style | safe }}
body { max-width: 100rem; margin-inline: auto; padding-inline: 1rem; }
h2 { margin: 2.5rem 0 .5rem; } h3 { margin: 1.2rem 0 .3rem; font-size: 1rem; }
.note, .notes { color: var(--faint); } .notes { padding-left: 1.2rem; overflow-wrap: anywhere; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 32rem), 1fr)); gap: 1rem 2rem; }
.frames { display: grid; gap: 1rem; }
figure { margin: 0; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
.frames img { display: block; max-width: 100%; height: auto; background: var(--shade); }
.missing { padding: 1rem; background: var(--shade); }
.key { display: inline-block; width: 2em; height: .8em; margin-left: .8em; }
.key line { stroke-width: 3; }
{% endblock %}

{% block body %}
{% if not clip_count %}<p><b>No clip was measured.</b></p>{% endif %}
{{ show(methods) }}
<ul class="notes">{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>

<h2>Clips</h2>
{% for name, table in clip_tables %}
<details{% if clip_tables | length == 1 %} open{% endif %}><summary>All clips of {{ name }}</summary>
{{ show(table) }}
</details>
{% endfor %}
<p class="note">{{ counts }}</p>
{% if legend | length > 1 %}<p>Curves:
{%- for name, class in legend %}
<svg class="key" viewBox="0 0 32 12"><line class="{{ class }}" x1="0" y1="6" x2="32" y2="6"/></svg> {{ name }}
{%- endfor %}</p>{% endif %}
{% for clip in clips %}
<details{% if clip_count == 1 %} open{% endif %}><summary>{{ clip.name }}</summary>
{{ show(clip.table) }}
{% if clip.remarks %}<ul class="notes">{% for remark in clip.remarks %}<li>{{ remark }}</li>{% endfor %}</ul>{% endif %}
{% if clip.plots %}<div class="curves">
{%- for plot in clip.plots %}
<figure><figcaption>{{ plot.heading }}</figcaption>
{%- if plot.picture %}{{ plot.picture | safe }}{% else %}<div class="missing">{{ plot.reason }}</div>{% endif -%}
</figure>
{%- endfor %}
</div>{% endif %}
{% if clip.frames %}<h3>Worst frames</h3>
<div class="frames">
{%- for frame in clip.frames %}
<figure><figcaption>{{ frame.caption }}</figcaption>
{%- if frame.picture %}<img src="{{ frame.picture }}" alt="{{ frame.caption }}">
{%- else %}<div class="missing">{{ frame.reason }}</div>{% endif -%}
</figure>
{%- endfor %}
</div>{% endif %}
</details>
{% endfor %}

<h2>Measures</h2>
{{ show(definitions, wrapped=true) }}

<h2>Left out</h2>
{% if left_out.rows %}{{ show(left_out, wrapped=true) }}{% else %}<p class="note">Nothing was left out.</p>{% endif %}
{% endblock %}
"""
