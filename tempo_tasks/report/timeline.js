// One clip: its sound, and what is seen of it: spectrogram, waveform, and events on a time line.
"use strict";
// From dark to bright all the way, so it is read in grey too (like "magma" of matplotlib).
const COLOURS = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
tempo.bytes = function (base64) {
  const text = atob(base64), found = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) found[at] = text.charCodeAt(at);
  return found;
};

tempo.Player = class {
  constructor(number, clip, options, answer, attention, windows) {
    this.attention = attention || [];
    this.windows = windows || [];
    this.clip = clip || { events: [] };
    this.options = options;
    this.answer = answer;
    this.audio = null;
    this.url = null;
    const held = number === null ? null : document.getElementById("sound-" + number);
    if (held) {
      this.url = URL.createObjectURL(new Blob([tempo.bytes(held.textContent)], { type: "audio/ogg" }));
    } else if (this.clip.file) {
      this.url = this.clip.file.split("/").map(encodeURIComponent).join("/");
    }
    this.element = document.createElement("div");
    const bar = document.createElement("div");
    bar.className = "player";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.className = "play";
    this.button.textContent = "▶ Play";
    this.time = document.createElement("span");
    this.time.className = "time";
    if (this.url) {
      this.audio = new Audio(this.url);
      this.audio.preload = "auto";
      this.button.addEventListener("click", () => this.toggle());
      for (const name of ["play", "pause", "ended"]) {
        this.audio.addEventListener(name, () => this.show());
      }
      this.audio.addEventListener("seeked", () => this.draw());
      this.audio.addEventListener("error", () => {
        this.button.disabled = true;
        this.time.textContent = "the sound cannot be played: " +
          (this.clip.file ? "is its folder beside the page?" : "does this browser know Ogg Vorbis?");
      });
      bar.append(this.button, this.time);
    } else {
      this.time.textContent = "no sound: its audio was not found when the page was made";
      bar.append(this.time);
    }
    this.element.append(bar);
    this.seconds = this.clip.seconds || this.lastEvent();
    if (this.seconds) {
      this.canvas = document.createElement("canvas");
      this.canvas.className = "timeline";
      this.canvas.setAttribute("role", "img");
      this.canvas.setAttribute("aria-label", "Time line: " + (this.clip.events.map(([label, spans]) =>
        label + " " + spans.map(([a, b]) => a.toFixed(1) + " to " + b.toFixed(1) + " s").join(", "))
        .join("; ") || "events are not known"));
      this.canvas.addEventListener("click", (event) => {
        const box = this.canvas.getBoundingClientRect();
        const share = (event.clientX - box.left - this.left) / (box.width - this.left - 8);
        if (this.audio) this.seek(this.seconds * Math.min(Math.max(share, 0), 1));
      });
      this.element.append(this.canvas);
    }
    this.show();
  }
  lastEvent() {
    return Math.max(0, ...this.clip.events.flatMap(([, spans]) => spans.map((span) => span[1])));
  }
  toggle() {
    if (!this.audio) return;
    if (this.audio.paused) {
      const started = this.audio.play();
      if (started) started.catch(() => {});
    } else this.audio.pause();
  }
  seek(seconds) { this.audio.currentTime = seconds; this.show(); }
  show() {
    if (!this.audio) { this.draw(); return; }
    const playing = !this.audio.paused && !this.audio.ended;
    this.button.textContent = playing ? "Pause" : "▶ Play";
    this.button.setAttribute("aria-pressed", String(playing));
    this.time.textContent = this.audio.currentTime.toFixed(1) + " / " +
      (this.seconds || this.audio.duration || 0).toFixed(1) + " s";
    this.draw();
    if (playing && this.element.isConnected) requestAnimationFrame(() => this.show());
  }
  close() {
    if (this.audio) { this.audio.pause(); this.audio.removeAttribute("src"); this.audio.load(); }
    if (this.url && this.url.startsWith("blob:")) URL.revokeObjectURL(this.url);
    this.audio = null;
  }
  draw() {
    const canvas = this.canvas;
    if (!canvas || !canvas.isConnected) return;
    const events = this.clip.events, width = canvas.clientWidth, scale = devicePixelRatio || 1;
    const top = this.clip.bands ? 96 : 0, lane = 24, shares = 34 * this.attention.length, looks = 18 * this.windows.length;
    const wave = this.clip.peaks ? 44 : 0, above = top + wave + shares + looks;
    const height = above + lane * events.length + 26;
    // Names of events stand to the left of their lanes.
    this.left = Math.min(150, Math.round(width * 0.28));
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const ink = canvas.getContext("2d");
    ink.scale(scale, scale);
    const from = this.left, to = width - 8, x = (seconds) => from + (to - from) * seconds / this.seconds;
    ink.fillStyle = tempo.colour("--panel");
    ink.fillRect(0, 0, width, height);
    if (this.clip.bands) this.spectrogram(ink, from, 0, to - from, top);
    if (this.clip.peaks) this.waveform(ink, from, top, to - from, wave);
    ink.font = "12px system-ui, sans-serif";
    ink.textBaseline = "middle";
    ink.fillStyle = tempo.colour("--soft");
    if (top) ink.fillText("spectrogram", 8, top / 2);
    if (wave) ink.fillText("waveform", 8, top + wave / 2);
    this.attention.forEach((one, number) => {
      const y = top + wave + 34 * number, levels = tempo.bytes(one.levels);
      ink.fillStyle = tempo.colour("--soft");
      ink.font = "12px system-ui, sans-serif";
      this.cut(ink, one.label, 8, y + 17, from - 16);
      ink.fillStyle = tempo.colour("--wrong");
      levels.forEach((level, at) => {
        const size = Math.max(30 * level / 255, 0.5);
        ink.fillRect(from + (to - from) * at / levels.length, y + 32 - size,
          Math.max((to - from) / levels.length - 0.3, 0.7), size);
      });
    });
    // Where attention is highest: frames, so that they are not taken for events.
    this.windows.forEach((one, number) => {
      const y = top + wave + shares + 18 * number;
      ink.fillStyle = tempo.colour("--soft");
      ink.font = "12px system-ui, sans-serif";
      this.cut(ink, one.label, 8, y + 9, from - 16);
      ink.strokeStyle = tempo.colour("--wrong");
      ink.lineWidth = 2;
      ink.strokeRect(x(one.start), y + 4, Math.max(Math.min(x(one.end), to) - x(one.start), 2), 10);
      ink.lineWidth = 1;
    });
    events.forEach(([label, spans], number) => {
      const y = above + lane * number, place = this.options.indexOf(label);
      const right = place === this.answer;
      ink.fillStyle = tempo.colour("--text");
      ink.font = (right ? "bold " : "") + "12px system-ui, sans-serif";
      this.cut(ink, (place < 0 ? "" : "ABCD"[place] + " ") + label, 8, y + lane / 2, from - 16);
      ink.strokeStyle = tempo.colour("--line");
      ink.beginPath(); ink.moveTo(from, y + lane - 0.5); ink.lineTo(to, y + lane - 0.5); ink.stroke();
      ink.fillStyle = right ? tempo.colour("--right") : tempo.colour("--none");
      ink.globalAlpha = place < 0 ? 0.4 : 1;
      for (const [start, end] of spans) {
        ink.fillRect(x(start), y + 5, Math.max(x(end) - x(start), 2), lane - 10);
      }
      ink.globalAlpha = 1;
    });
    const bottom = height - 26;
    ink.fillStyle = tempo.colour("--soft");
    ink.font = "11px system-ui, sans-serif";
    ink.textAlign = "center";
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60];
    const step = steps.find((found) => (to - from) * found / this.seconds >= 48) || 60;
    for (let at = 0; at <= this.seconds + 1e-6; at += step) {
      ink.fillRect(x(at), bottom, 1, 5);
      ink.fillText(Number(at.toFixed(1)) + " s", Math.min(x(at), width - 14), bottom + 15);
    }
    ink.textAlign = "left";
    if (this.audio) {
      ink.fillStyle = tempo.colour("--focus");
      ink.fillRect(x(Math.min(this.audio.currentTime, this.seconds)) - 1, 0, 2, bottom);
    }
  }
  cut(ink, text, x, y, width) {
    let shown = text;
    while (shown.length > 1 && ink.measureText(shown).width > width) shown = shown.slice(0, -2) + "…";
    ink.fillText(shown, x, y);
  }
  spectrogram(ink, left, top, width, height) {
    if (!this.image) {
      const levels = tempo.bytes(this.clip.bands), columns = 192, bands = levels.length / columns;
      this.image = document.createElement("canvas");
      this.image.width = columns;
      this.image.height = bands;
      const pixels = new ImageData(columns, bands);
      for (let column = 0; column < columns; column++) {
        for (let band = 0; band < bands; band++) {
          const level = levels[column * bands + band] / 255;
          const at = 4 * ((bands - 1 - band) * columns + column);
          const part = level * (COLOURS.length - 1), low = Math.min(Math.floor(part), COLOURS.length - 2);
          for (let channel = 0; channel < 3; channel++) {
            const [dark, light] = [COLOURS[low][channel], COLOURS[low + 1][channel]];
            pixels.data[at + channel] = dark + (light - dark) * (part - low);
          }
          pixels.data[at + 3] = 255;
        }
      }
      this.image.getContext("2d").putImageData(pixels, 0, 0);
    }
    ink.imageSmoothingEnabled = true;
    ink.drawImage(this.image, left, top, width, height);
  }
  waveform(ink, left, top, width, height) {
    const peaks = this.levels || (this.levels = tempo.bytes(this.clip.peaks));
    ink.fillStyle = tempo.colour("--accent");
    peaks.forEach((peak, number) => {
      const size = Math.max((height - 6) * peak / 255, 1);
      ink.fillRect(left + width * number / peaks.length, top + (height - size) / 2,
        Math.max(width / peaks.length - 0.5, 1), size);
    });
  }
};
