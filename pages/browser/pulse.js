const COLOURS = { info: 'blue', success: 'green', warning: 'yellow', error: 'red' };

function child(parent, number, tag) {  // reuse what is there, so that bars move instead of being drawn anew
  return parent.children[number] ?? parent.appendChild(document.createElement(tag));
}
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function shorten(parent, count) {
  while (parent.children.length > count) parent.lastChild.remove();
}
function paint(element, colour) {
  element.style.background = `var(--st-${colour}-background-color)`;
  element.style.color = `var(--st-${colour}-text-color)`;
}
function draw(run, content) {
  const [title, bars, figures, boxes, curves] = run.children;
  content.title.forEach((words, number) => write(child(title, number, number ? 'span' : 'strong'), words));
  shorten(title, content.title.length);
  paint(title.children[0], content.colour);
  content.bars.forEach(([share, said], number) => {
    const row = child(bars, number, 'div'), words = child(row, 0, 'div'), track = child(row, 1, 'div');
    words.className = 'words';
    track.className = 'track';
    write(words, said);
    track.setAttribute('role', 'progressbar');
    track.setAttribute('aria-label', said);
    track.setAttribute('aria-valuenow', Math.round(100 * share));
    child(track, 0, 'div').style.width = `${100 * share}%`;
  });
  content.figures.forEach(([label, value, help], number) => {
    const cell = child(figures, number, 'div');
    cell.title = help;
    write(child(cell, 0, 'dt'), label);
    write(child(cell, 1, 'dd'), value);
  });
  content.said.forEach(([kind, lead, words], number) => {
    const box = child(boxes, number, 'div');
    box.className = 'box';
    box.setAttribute('role', kind === 'error' ? 'alert' : 'status');
    paint(box, COLOURS[kind]);
    write(child(box, 0, 'strong'), lead);
    write(child(box, 1, 'span'), words);
  });
  shorten(boxes, content.said.length);
  curves.replaceChildren(...content.curves.map((figure) => sketch(figure, run.clientWidth)));
}

const NAMESPACE = 'http://www.w3.org/2000/svg';
function shape(tag, attributes, text) {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function ticks(low, high, most) {  // round numbers between the two
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough), found = [];
  for (let n = Math.ceil(low / step); n * step <= high * (1 + 1e-9); n++) found.push(Number((n * step).toPrecision(6)));
  return found;
}
function sketch(figure, room) {  // lines and points of a Plotly figure, as far as curves need them
  const width = room < 640 ? room : (room - 16) / 2, height = figure.layout.height;
  const box = { left: 52, right: width - 8, top: 34, bottom: height - 40 };
  const { xaxis, yaxis, shapes = [] } = figure.layout, share = yaxis.tickformat === '.0%';
  const values = figure.data.flatMap((trace) => trace.y).filter(Number.isFinite);
  let [low, high] = yaxis.range ?? [Math.min(...values, Infinity), Math.max(...values, -Infinity)];
  if (low > high) [low, high] = [0, 1];
  if (yaxis.rangemode === 'tozero') low = Math.min(0, low);
  const margin = yaxis.range ? 0 : 0.05 * (high - low || 1);
  high += margin;
  if (low !== 0) low -= margin;
  const [first, last] = xaxis.range;
  const x = (value) => box.left + (box.right - box.left) * (value - first) / (last - first);
  const y = (value) => box.bottom - (box.bottom - box.top) * (value - low) / (high - low);
  const svg = shape('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': figure.words });
  for (const value of ticks(low, high, 5)) {
    svg.append(shape('line', { class: 'grid', x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
    const words = share ? `${Math.round(100 * value)}%` : value;
    svg.append(shape('text', { x: box.left - 8, y: y(value) + 4, 'text-anchor': 'end' }, words));
  }
  for (const value of ticks(first, last, 6))
    svg.append(shape('text', { x: x(value), y: box.bottom + 18, 'text-anchor': 'middle' }, value));
  const middle = (box.left + box.right) / 2;
  svg.append(shape('text', { x: middle, y: height - 4, 'text-anchor': 'middle' }, xaxis.title?.text));
  svg.append(shape('text', { x: 0, y: box.top - 8 }, yaxis.title?.text));
  for (const { x0, line } of shapes)
    svg.append(shape('line', { x1: x(x0), x2: x(x0), y1: box.top, y2: box.bottom, stroke: line.color, 'stroke-dasharray': '2 3' }));
  let at = box.left + 60;
  for (const trace of figure.data) {
    const points = trace.x.map((value, i) => [x(value), y(trace.y[i])]).filter(([, down]) => Number.isFinite(down));
    const paint = { stroke: trace.line.color, 'stroke-width': trace.line.width, opacity: trace.opacity ?? 1 };
    const path = points.map(([across, down]) => `${across.toFixed(1)} ${down.toFixed(1)}`).join('L');
    if (points.length) svg.append(shape('path', { d: `M${path}`, fill: 'none', 'stroke-linejoin': 'round', ...paint }));
    if (trace.mode.includes('markers'))
      for (const [cx, cy] of points) svg.append(shape('circle', { cx, cy, r: 3, fill: trace.line.color }));
    svg.append(shape('line', { x1: at, x2: at + 18, y1: box.top - 12, y2: box.top - 12, ...paint }));
    svg.append(shape('text', { x: at + 23, y: box.top - 8 }, trace.name));
    at += 38 + 12 * [...trace.name].reduce((sum, letter) => sum + (letter > '\u2e80' ? 1 : 0.5), 0);
  }
  return svg;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const run = parentElement.querySelector('.run');
  run.pace ??= 1;
  run.onEnded = () => setTriggerValue('ended', true);
  draw(run, data.content);
  if (run.address === data.address) return run.leave;
  const behavior = matchMedia('(prefers-reduced-motion: no-preference)').matches ? 'smooth' : 'auto';
  const tall = run.offsetHeight > 0.7 * window.innerHeight;  // its middle would leave what stands above it out of sight
  if (data.show) run.scrollIntoView({ behavior, block: tall ? 'start' : 'center' });
  run.address = data.address;
  clearTimeout(run.next);
  async function look() {
    const address = run.address;
    try {
      const answer = document.hidden ? null : await fetch(address, { cache: 'no-store' });
      if (run.address !== address) return;
      if (answer?.status === 404) return run.onEnded();
      if (answer?.ok) {
        const content = await answer.json();
        draw(run, content);
        run.pace = content.pace;
        if (!content.live) return run.onEnded();
      }
    } catch {
      // the server is away for a moment
    }
    run.next = setTimeout(look, 1000 * run.pace);
  }
  if (run.address) run.next = setTimeout(look, 1000);
  run.leave = () => { clearTimeout(run.next); run.address = null; };
  return run.leave;
}
