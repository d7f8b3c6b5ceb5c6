"""How the page of a comparison looks and plays: a Jinja template and its script."""

TEMPLATE = """{% extends "shell" %}
{% from "table" import show %}

{% block style %}
{{ line_style | safe }}
body { max-width: 100rem; margin-inline: auto; padding-inline: 1rem; }
h2 { margin: 2.5rem 0 .5rem; } h3 { margin: 1.4rem 0 .3rem; font-size: 1rem; }
.note, .notes { color: var(--faint); } .notes { padding-left: 1.2rem; overflow-wrap: anywhere; }
.conclusion { padding: .2rem 1rem; background: var(--shade); overflow-wrap: anywhere; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 32rem), 1fr)); gap: 1rem 2rem; }
.sides { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr)); gap: .6rem; }
figure { margin: 0; } figcaption { font-size: .85rem; overflow-wrap: anywhere; }
.sides img, .sides video { display: block; width: 100%; height: auto; background: var(--shade); }
.sides img { image-rendering: pixelated; }
.controls { display: flex; gap: 1rem; align-items: center; margin: .5rem 0; }
.controls button { font: inherit; min-width: 6rem; } .controls input { flex: 1; max-width: 40rem; }
.key { display: inline-block; width: 2em; height: .8em; margin-left: .8em; } .key line { stroke-width: 3; }
{% endblock %}

{% block body %}
{% if question %}<p><b>{{ question }}</b></p>{% endif %}
<div class="conclusion"><ul>{% for sentence in conclusion %}<li>{{ sentence }}</li>{% endfor %}</ul></div>
{% if remarks %}<ul class="notes">{% for remark in remarks %}<li>{{ remark }}</li>{% endfor %}</ul>{% endif %}

<h2>Means on {{ footage }}</h2>
{{ show(means) }}
<ul class="notes">{% for note in means.notes.sentences %}<li>{{ note }}</li>{% endfor -%}
<li>[low, high]: where the mean of other seeds on other clips would lie in 95 % of cases; of clips alone where there is
one seed. Clips differ much more than variants do: whether two variants differ is told by the differences below, not
by whether these intervals overlap. Times are those of the machines that the runs had.</li></ul>

<h2>Differences to {{ baseline }}</h2>
{% for measure, table in differences %}
<h3>{{ measure }}{% if loop.first %}, the main measure{% endif %}</h3>
{{ show(table) }}
{% if table.notes.sentences %}<ul class="notes">{% for note in table.notes.sentences %}<li>{{ note }}</li>{% endfor %}
</ul>{% endif %}
{% endfor %}
<ul class="notes">{% for note in method %}<li>{{ note }}</li>{% endfor %}</ul>

<h2>The same clips through every variant</h2>
{% for clip in clips %}
<section class="clip"><h3>{{ clip.name }}, seed {{ clip.seed }}</h3>
{% if clip.sides %}<div class="controls"><button type="button">Play</button>
<input type="range" min="0" max="1" step="any" value="0" aria-label="time"></div>
<div class="sides">{% for side in clip.sides %}
<figure><video src="{{ side.video }}" muted playsinline preload="auto"></video>
<figcaption>{{ side.label }}</figcaption></figure>{% endfor %}
</div>
<details><summary>Middle frames</summary><div class="sides">{% for side in clip.sides %}
<figure><img src="{{ side.picture }}" alt="{{ side.label }}"><figcaption>{{ side.label }}</figcaption></figure>
{%- endfor %}</div></details>{% endif %}
{% if clip.remarks %}<ul class="notes">{% for remark in clip.remarks %}<li>{{ remark }}</li>{% endfor %}</ul>{% endif %}
</section>
{% else %}<p class="note">The runs kept no videos of this footage.</p>
{% endfor %}

<h2>Learning curves</h2>
<p class="note">Mean over seeds; the shaded range is from the least to the greatest seed, not an interval.
{%- if legend | length > 1 %} Curves:
{%- for name, class in legend %}
<svg class="key" viewBox="0 0 32 12"><line class="{{ class }}" x1="0" y1="6" x2="32" y2="6"/></svg> {{ name }}
{%- endfor %}{% endif %}</p>
{% for stage, pictures in stages %}
<details{% if loop.last %} open{% endif %}><summary>{{ stage }}</summary><div class="curves">
{%- for curve in pictures %}
<figure><figcaption>{{ curve.name }}</figcaption>{{ curve.picture | safe }}</figure>
{%- endfor %}</div></details>
{% else %}<p class="note">The runs left no curves.</p>
{% endfor %}

<h2>Settings in which variants differ from {{ baseline }}</h2>
{% if settings.rows %}{{ show(settings, wrapped=true) }}{% else %}<p class="note">None.</p>{% endif %}

<h2>Runs</h2>
{{ show(runs) }}
{% endblock %}
"""

SCRIPT = """
"use strict";
for (const clip of document.querySelectorAll(".clip")) {
  const videos = [...clip.querySelectorAll("video")];
  const button = clip.querySelector("button"), place = clip.querySelector("input");
  if (!videos.length) continue;
  const first = videos[0];
  const seek = time => { for (const video of videos) video.currentTime = time; };
  const show = () => { button.textContent = first.paused ? "Play" : "Pause"; };
  const align = () => {
    for (const video of videos.slice(1))
      if (Math.abs(video.currentTime - first.currentTime) > 0.04) video.currentTime = first.currentTime;
    if (first.duration) place.value = first.currentTime / first.duration;
    if (!first.paused) requestAnimationFrame(align);
  };
  button.addEventListener("click", async () => {
    if (first.paused) {
      seek(first.ended ? 0 : first.currentTime);
      await Promise.all(videos.map(video => video.play()));
      align();
    } else {
      for (const video of videos) video.pause();
      seek(first.currentTime);
    }
    show();
  });
  first.addEventListener("ended", () => {
    seek(0);
    for (const video of videos) video.play();
  });
  place.addEventListener("input", () => {
    for (const video of videos) video.pause();
    seek(place.value * (first.duration || 0));
    show();
  });
}
"""
