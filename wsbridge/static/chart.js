// The last minute of up to six detectors on a canvas. Owns the points and how they are drawn;
// refuses to know where they come from.

const SPAN = 60; // seconds
const MARK_EVERY = 15; // seconds; shapes tell the lines apart without colour

// [corners, turn] of each detector's mark.
const SHAPES = [[24, 0], [4, 0.25], [3, -0.5], [4, 0], [3, 0.5], [6, 0]];

/** Corners of a detector's mark around 0, 0: the same in the chart and in the legends. */
export function mark(index, radius) {
  const [corners, turn] = SHAPES[index];
  return Array.from({ length: corners }, (_, i) => {
    const angle = ((2 * i) / corners + turn) * Math.PI;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
}

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = []; // {t, values}: seconds of the instrument's clock, powers in `unit`
    this.unit = "dBm";
    this.shown = SHAPES.map(() => true);
  }

  /** A silence of more than `patience` seconds before this point is drawn as a gap. */
  add(t, values, unit, patience) {
    let before = this.points.at(-1);
    // Another unit is another axis, and a clock that was set back is another time.
    if (unit !== this.unit || t < before?.t) this.points = [], before = undefined;
    this.unit = unit;
    const joined = before && t - before.t <= patience;
    this.points.push({ t, values, joined });
    while (this.points[0].t < t - SPAN - 1) this.points.shift();
  }

  draw(now) {
    const { canvas, points } = this;
    const ratio = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
    const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== pixels[0]) canvas.width = pixels[0];
    if (canvas.height !== pixels[1]) canvas.height = pixels[1];
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const em = parseFloat(style.fontSize);
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    c.font = `${em}px ${style.fontFamily}`;

    const recent = points.filter((point) => point.t >= now - SPAN);
    const channels = this.shown.flatMap((shown, i) => (shown ? [i] : []));
    const { low, high, step } = this.range(recent, channels, height / (4 * em));
    const decimals = Math.min(9, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    const label = (v) => (v + 0).toFixed(decimals).replace("-", "−");
    const first = Math.ceil(low / step - 1e-6);
    const ticks = Array.from({ length: Math.floor(high / step + 1e-6) - first + 1 }, (_, i) => (first + i) * step);
    const left = Math.max(...ticks.map((v) => c.measureText(label(v)).width)) + em;
    const [right, top, bottom] = [width - 2.6 * em, 2 * em, height - 2 * em];
    const x = (t) => right - ((now - t) / SPAN) * (right - left);
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);

    c.lineWidth = 1;
    c.strokeStyle = colour("rule");
    c.fillStyle = colour("muted");
    c.textBaseline = "middle";
    c.textAlign = "right";
    c.beginPath();
    for (const v of ticks) {
      const line = Math.round(y(v)) + 0.5;
      c.moveTo(left, line);
      c.lineTo(right, line);
      c.fillText(label(v), left - 0.5 * em, line);
    }
    c.stroke();
    c.fillText(this.unit, left - 0.5 * em, 0.6 * em);
    c.textAlign = "center";
    for (let s = 0; s <= SPAN; s += 15) c.fillText(s ? `−${s} s` : "now", x(now - s), bottom + 1.2 * em);

    c.save();
    c.beginPath();
    c.rect(left, 0, width, height);
    c.clip();
    c.lineWidth = em / 7;
    c.lineJoin = c.lineCap = "round";
    const ends = [];
    for (const i of channels) {
      c.strokeStyle = c.fillStyle = colour(`ch${i + 1}`);
      c.beginPath();
      let before = null, last = null;
      const marks = [];
      for (const { t, values, joined } of points) {
        const value = values[i] ?? null;
        if (value !== null) {
          if (joined && before !== null) c.lineTo(x(t), y(value));
          // A point between two gaps is still a point: a line of no length has round caps.
          else { c.moveTo(x(t), y(value)); c.lineTo(x(t), y(value)); }
          const turn = Math.floor(t / MARK_EVERY - i / 24); // shifted, for lines that coincide
          if (last !== null && turn !== last) marks.push([x(t), y(value)]);
          last = turn;
        }
        before = value;
      }
      c.stroke();
      for (const [mx, my] of marks) this.mark(c, i, mx, my, em / 3);
      if (before !== null) ends.push({ i, at: y(before) });
    }
    c.restore();
    c.textAlign = "left";
    ends.sort((a, b) => a.at - b.at);
    // Labels of lines that end close together are moved apart, never off the bottom.
    ends.forEach((end, k) => { if (k) end.at = Math.max(end.at, ends[k - 1].at + 1.15 * em); });
    for (let k = ends.length - 1, most = bottom; k >= 0; k--, most -= 1.15 * em) ends[k].at = Math.min(ends[k].at, most);
    for (const { i, at } of ends) {
      c.fillStyle = colour(`ch${i + 1}`);
      this.mark(c, i, right + 0.9 * em, at, em / 3);
      c.fillText(i + 1, right + 1.5 * em, at);
    }
  }

  mark(c, index, x, y, radius) {
    c.beginPath();
    for (const [dx, dy] of mark(index, radius)) c.lineTo(x + dx, y + dy);
    c.fill();
  }

  /** Round bounds around what is shown, and the step between lines. */
  range(points, channels, parts) {
    const values = points.flatMap((p) => channels.map((i) => p.values[i]).filter(Number.isFinite));
    let low = Math.min(...values), high = Math.max(...values);
    if (!values.length) [low, high] = this.unit === "dBm" ? [-60, 0] : [0, 1];
    // Noise alone shall not fill the chart: a tenth of a dB at least, or 2 % of a linear power.
    const least = this.unit === "dBm" ? 0.1 : Math.max(0.02 * Math.abs(high), 1e-9);
    if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
    const fine = (high - low) / Math.max(2, Math.min(parts, 8));
    const power = 10 ** Math.floor(Math.log10(fine));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= 0.999 * fine);
    const room = step / 4; // and bounds are multiples of it, so that they seldom move
    return { low: Math.floor(low / room - 0.5) * room, high: Math.ceil(high / room + 0.5) * room, step };
  }
}
