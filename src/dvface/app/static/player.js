// <dvface-player src frames rate width height>: one video that holds input (left half) and restoration (right half),
// drawn on a canvas. One decoder serves both sides, so they cannot run apart.
(() => {
  if (customElements.get("dvface-player")) return;

  const NARROW = 560; // CSS pixels below which landscape pictures stand one above the other
  const GAP = 8;

  const STYLE = `
    :host { display: block; color: var(--body-text-color, #1f2937); font: inherit; }
    * { box-sizing: border-box; }
    .views, .bar { display: flex; align-items: center; gap: 6px; flex-wrap: wrap; }
    .views { margin-bottom: 8px; }
    .stage { position: relative; background: #0b0f19; border-radius: 8px; overflow: hidden; line-height: 0;
             display: flex; justify-content: center; }
    .frame { position: relative; width: 100%; }
    canvas { display: block; width: 100%; height: auto; }
    .tag { position: absolute; top: 8px; padding: 5px 8px; font-size: 12px; line-height: 1; color: #fff;
           background: rgba(0, 0, 0, .62); border-radius: 4px; pointer-events: none; }
    .tag.before { left: 8px; } .tag.after { right: 8px; }
    .frame.beside .tag.after { right: auto; left: calc(50% + 12px); }
    .frame.stacked .tag.after { right: auto; left: 8px; top: calc(50% + 12px); }
    .divider { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
               appearance: none; -webkit-appearance: none; touch-action: pan-y; }
    .divider::-webkit-slider-thumb { -webkit-appearance: none; width: 2px; height: 100%; }
    .divider::-moz-range-thumb { width: 2px; height: 100%; border: 0; }
    .line { position: absolute; top: 0; bottom: 0; width: 2px; margin-left: -1px; background: #fff; pointer-events: none;
            box-shadow: 0 0 4px rgba(0, 0, 0, .7); }
    .line::after { content: "\\2194"; position: absolute; top: 50%; left: 1px; width: 34px; height: 34px;
                   transform: translate(-50%, -50%); border-radius: 50%; background: #fff; color: #111; display: grid;
                   place-items: center; font-size: 18px; line-height: 1; box-shadow: 0 1px 4px rgba(0, 0, 0, .5); }
    .divider:focus-visible + .line { background: #60a5fa; }
    .divider:focus-visible + .line::after { outline: 3px solid #2563eb; }
    .bar { margin-top: 8px; flex-wrap: nowrap; }
    button { min-width: 40px; height: 40px; padding: 0 12px; font: inherit; font-size: 14px; cursor: pointer;
             border: 1px solid var(--border-color-primary, #d1d5db); border-radius: 8px;
             background: var(--button-secondary-background-fill, #f3f4f6); color: inherit; }
    button:hover { filter: brightness(.96); }
    button[aria-pressed="true"] { background: #1d4ed8; border-color: #1d4ed8; color: #fff; }
    .bar button { padding: 0; flex: none; display: grid; place-items: center; }
    svg { width: 18px; height: 18px; fill: currentColor; }
    .seek { flex: 1; min-width: 60px; height: 40px; margin: 0; accent-color: #1d4ed8; }
    button:focus-visible, .seek:focus-visible { outline: 3px solid #2563eb; outline-offset: 2px; }
    output { flex: none; font-size: 13px; font-variant-numeric: tabular-nums; min-width: 8.5em; text-align: right; }
    .problem { padding: 24px; line-height: 1.4; color: #fff; }
    [hidden] { display: none !important; }
    @media (max-width: 480px) { .bar { flex-wrap: wrap; } .seek { order: -1; flex: 1 0 100%; } output { margin-left: auto; } }
  `;

  const ICONS = {
    play: "M5 3l12 6-12 6z",
    pause: "M4 3h4v12H4zM10 3h4v12h-4z",
    back: "M13 3v12L5 9zM3 3h2v12H3z",
    on: "M5 3l8 6-8 6zM13 3h2v12h-2z",
    repeat: "M4 5h8V2l5 4.5L12 11V8H6v3H4zM14 13H6v3l-5-4.5L6 7v3h6V7h2z",
  };
  const icon = (name) => `<svg viewBox="0 0 18 18" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;

  const clock = (seconds) => {
    const minutes = Math.floor(seconds / 60);
    return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
  };

  class Player extends HTMLElement {
    connectedCallback() {
      this.frames = Math.max(1, Number(this.getAttribute("frames")));
      this.rate = Number(this.getAttribute("rate"));
      this.size = [Number(this.getAttribute("width")), Number(this.getAttribute("height"))];
      this.frame = 0;
      this.wanted = null;
      this.view = "slider";
      const root = this.shadowRoot || this.attachShadow({ mode: "open" });
      root.innerHTML = `
        <style>${STYLE}</style>
        <div class="views" role="group" aria-label="View">
          <button type="button" data-view="slider" aria-pressed="true">Slider</button>
          <button type="button" data-view="beside" aria-pressed="false">Side by side</button>
        </div>
        <div class="stage">
          <div class="frame">
            <canvas role="img"></canvas>
            <input class="divider" type="range" min="0" max="100" step="0.5" value="50"
                   aria-label="Divider: input on the left, restored on the right">
            <div class="line"></div>
            <span class="tag before">Before</span><span class="tag after">After</span>
          </div>
          <p class="problem" role="alert" hidden>This browser cannot play the comparison (H.264 in MP4).
            The restored file can be downloaded all the same.</p>
        </div>
        <div class="bar" role="group" aria-label="Playback of both videos">
          <button type="button" class="play" aria-label="Play">${icon("play")}</button>
          <button type="button" class="back" aria-label="Previous frame">${icon("back")}</button>
          <button type="button" class="on" aria-label="Next frame">${icon("on")}</button>
          <button type="button" class="repeat" aria-label="Repeat" aria-pressed="false">${icon("repeat")}</button>
          <input class="seek" type="range" min="1" max="${this.frames}" step="1" value="1" aria-label="Frame">
          <output></output>
        </div>`;
      const find = (name) => root.querySelector(name);
      Object.assign(this, {
        canvas: find("canvas"), divider: find(".divider"), line: find(".line"), box: find(".frame"),
        seek: find(".seek"), read: find("output"), button: find(".play"), problem: find(".problem"),
      });
      this.context = this.canvas.getContext("2d");
      this.context.imageSmoothingQuality = "high";

      this.video = document.createElement("video");
      Object.assign(this.video, { muted: true, playsInline: true, preload: "auto" });
      this.video.addEventListener("loadedmetadata", () => this.goTo(this.frame));
      this.video.addEventListener("seeked", () => this.seeked());
      this.video.addEventListener("play", () => this.playing());
      this.video.addEventListener("pause", () => this.paused());
      this.video.addEventListener("error", () => this.fail());
      this.follow();
      this.video.src = new URL(this.getAttribute("src"), document.baseURI).href;

      root.querySelectorAll("[data-view]").forEach((each) =>
        each.addEventListener("click", () => this.show(each.dataset.view)));
      this.divider.addEventListener("input", () => this.draw());
      this.seek.addEventListener("input", () => { this.video.pause(); this.goTo(Number(this.seek.value) - 1); });
      this.button.addEventListener("click", () => this.toggle());
      find(".back").addEventListener("click", () => this.step(-1));
      find(".on").addEventListener("click", () => this.step(1));
      find(".repeat").addEventListener("click", (event) => {
        this.video.loop = !this.video.loop;
        event.currentTarget.setAttribute("aria-pressed", String(this.video.loop));
      });
      root.addEventListener("keydown", (event) => {
        if (event.key !== " " || event.target.tagName === "BUTTON") return;
        event.preventDefault();
        this.toggle();
      });
      this.watcher = new ResizeObserver(() => this.layOut());
      this.watcher.observe(this);
      this.layOut();
    }

    disconnectedCallback() {
      this.watcher.disconnect();
      this.video.pause();
      this.video.removeAttribute("src");
      this.video.load();
    }

    // every frame that the browser presents, playing or after seeking
    follow() {
      if (!this.video.requestVideoFrameCallback) return;
      this.video.requestVideoFrameCallback((now, meta) => {
        this.arrived(meta.mediaTime);
        this.follow();
      });
    }

    arrived(seconds) {
      this.frame = Math.min(this.frames - 1, Math.max(0, Math.round(seconds * this.rate)));
      this.draw();
    }

    goTo(frame) {
      const wanted = Math.min(this.frames - 1, Math.max(0, frame));
      if (this.video.seeking) {
        this.wanted = wanted; // one seek at a time: the last wish counts
        return;
      }
      this.video.currentTime = (wanted + 0.5) / this.rate;
    }

    seeked() {
      if (this.wanted !== null) {
        const wanted = this.wanted;
        this.wanted = null;
        this.goTo(wanted);
        return;
      }
      if (this.video.paused) this.arrived(this.video.currentTime - 0.5 / this.rate);
    }

    step(by) {
      this.video.pause();
      this.goTo((this.wanted ?? this.frame) + by);
    }

    toggle() {
      if (!this.video.paused) {
        this.video.pause();
        return;
      }
      if (this.frame >= this.frames - 1) this.video.currentTime = 0;
      this.video.play().catch(() => this.fail());
    }

    playing() {
      this.button.innerHTML = icon("pause");
      this.button.setAttribute("aria-label", "Pause");
      if (this.video.requestVideoFrameCallback) return;
      const tick = () => {
        if (this.video.paused) return;
        this.arrived(this.video.currentTime - 0.5 / this.rate);
        requestAnimationFrame(tick);
      };
      tick();
    }

    paused() {
      this.button.innerHTML = icon("play");
      this.button.setAttribute("aria-label", "Play");
      if (!this.video.ended) this.goTo(this.frame); // exactly the frame that is shown
    }

    fail() {
      if (!this.video.error) return;
      this.problem.hidden = false;
      this.box.hidden = true;
    }

    show(view) {
      this.view = view;
      this.shadowRoot.querySelectorAll("[data-view]").forEach((each) =>
        each.setAttribute("aria-pressed", String(each.dataset.view === view)));
      this.divider.hidden = this.line.hidden = view !== "slider";
      this.layOut();
    }

    layOut() {
      const [width, height] = this.size;
      const beside = this.view === "beside";
      const stacked = beside && this.clientWidth < NARROW && width >= height;
      this.box.classList.toggle("beside", beside && !stacked);
      this.box.classList.toggle("stacked", stacked);
      const total = [beside && !stacked ? 2 * width + GAP : width, stacked ? 2 * height + GAP : height];
      if (this.canvas.width !== total[0] || this.canvas.height !== total[1]) {
        [this.canvas.width, this.canvas.height] = total;
      }
      // a portrait video must leave the controls on the screen
      this.box.style.maxWidth = `${Math.round((0.7 * window.innerHeight * total[0]) / total[1])}px`;
      this.draw();
    }

    draw() {
      const [width, height] = this.size;
      const share = Number(this.divider.value) / 100;
      this.line.style.left = `${100 * share}%`;
      this.seek.value = String(this.frame + 1);
      const moment = clock(this.frame / this.rate);
      this.seek.setAttribute("aria-valuetext", `frame ${this.frame + 1} of ${this.frames}, ${moment}`);
      this.read.textContent = `${this.frame + 1} / ${this.frames} · ${moment}`;
      this.canvas.setAttribute("aria-label", `Frame ${this.frame + 1} before and after restoring`);
      if (this.video.readyState < 2) return;
      const piece = (from, x, y, part, left) =>
        part > 0 && this.context.drawImage(this.video, from + left, 0, part, height, x + left, y, part, height);
      this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      if (this.view === "slider") {
        const cut = Math.round(width * share);
        piece(0, 0, 0, cut, 0);
        piece(width, 0, 0, width - cut, cut);
      } else {
        const stacked = this.box.classList.contains("stacked");
        piece(0, 0, 0, width, 0);
        piece(width, stacked ? 0 : width + GAP, stacked ? height + GAP : 0, width, 0);
      }
    }
  }

  customElements.define("dvface-player", Player);
})();
