const MARGIN = 18, REACH = 16, NEAR = 6;
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export default function ({ data, parentElement, setTriggerValue }) {
  const field = parentElement.querySelector('.field');
  const canvas = field.querySelector('canvas');
  const tip = field.querySelector('.tip');
  const legend = parentElement.querySelector('.legend');
  const count = data.labels.length;
  const wide = Math.max(1e-6, ...data.points.filter((_, i) => i % 2 === 0));
  const tall = Math.max(1e-6, ...data.points.filter((_, i) => i % 2 === 1));
  const sheet = new Image();
  const heard = field.querySelector('.heard');
  const fingers = new Map();  // where each that touches the map is
  let zoom = { scale: 1, x: 0, y: 0 }, hovered = null, path = null, at = null;
  let chosen = field.chosen < data.labels.length ? field.chosen : -1;
  const focused = () => canvas.getRootNode().activeElement === canvas;
  const alone = () => hovered ?? legend.pressed ?? null;
  const shines = (i) => alone() === null || alone() === data.labels[i];

  function size() {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    canvas.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  function spot(i) {
    const w = canvas.clientWidth, h = canvas.clientHeight;
    const scale = Math.min((w - 2 * MARGIN) / wide, (h - 2 * MARGIN) / tall);
    const x = (w - wide * scale) / 2 + data.points[2 * i] * scale, y = (h + tall * scale) / 2 - data.points[2 * i + 1] * scale;
    return [x * zoom.scale + zoom.x, y * zoom.scale + zoom.y];
  }
  function cell(i) {
    const columns = Math.max(1, Math.round(sheet.naturalWidth / data.cell));
    const n = data.cells[i];
    return [n % columns * data.cell, Math.floor(n / columns) * data.cell];
  }
  function draw() {
    const pen = canvas.getContext('2d');
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const side = Math.min(64, (data.pictures ? 22 : 7) * Math.sqrt(zoom.scale));
    for (let i = 0; i < count; i++) {
      const [x, y] = spot(i), label = data.labels[i];
      if (x < -side || y < -side || x > canvas.clientWidth + side || y > canvas.clientHeight + side) continue;
      pen.globalAlpha = shines(i) ? (data.pictures ? 1 : 0.75) : 0.08;
      pen.fillStyle = data.colours[label];
      if (data.pictures && sheet.naturalWidth) {
        pen.fillRect(x - side / 2 - 1, y - side / 2 - 1, side + 2, side + 2);
        pen.drawImage(sheet, ...cell(i), data.cell, data.cell, x - side / 2, y - side / 2, side, side);
      } else {
        pen.beginPath(); pen.arc(x, y, side / 2, 0, 7); pen.fill();
      }
    }
    pen.globalAlpha = 1;
    if (chosen >= 0 && focused()) {
      pen.beginPath();
      pen.arc(...spot(chosen), side / 2 + 4, 0, 7);
      pen.strokeStyle = '#D55E00'; pen.lineWidth = 3; pen.stroke();
    }
    if (path) {
      pen.beginPath();
      path.forEach(([x, y]) => pen.lineTo(x, y));
      pen.closePath();
      pen.strokeStyle = '#D55E00'; pen.lineWidth = 2; pen.stroke();
      pen.fillStyle = '#D55E0022'; pen.fill();
    }
  }
  function nearest([x, y]) {
    let best = -1, least = REACH * REACH;
    for (let i = 0; i < count; i++) {
      const [a, b] = spot(i), away = (a - x) ** 2 + (b - y) ** 2;
      if (away < least) { least = away; best = i; }
    }
    return best;
  }
  function inside([x, y], line) {  // even-odd rule
    let odd = false;
    for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
      const [a, b] = line[i], [c, d] = line[j];
      if (b > y !== d > y && x < (c - a) * (y - b) / (d - b) + a) odd = !odd;
    }
    return odd;
  }
  function towards([right, down]) {  // the nearest one within 45°, else anywhere on that side; -1 if there is none
    const [x, y] = chosen < 0 ? [canvas.clientWidth / 2, canvas.clientHeight / 2] : spot(chosen);
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      const [a, b] = spot(i), along = (a - x) * right + (b - y) * down, aside = Math.abs((a - x) * down + (b - y) * right);
      const away = Math.hypot(along, aside) + (aside > along ? 1e6 : 0);
      if (shines(i) && along > 0.01 && away < least) { least = away; best = i; }
    }
    return best;
  }
  function go(i) {
    chosen = field.chosen = i;
    const [x, y] = spot(i), w = canvas.clientWidth, h = canvas.clientHeight;
    if (x < 0 || y < 0 || x > w || y > h) zoom = { ...zoom, x: zoom.x + w / 2 - x, y: zoom.y + h / 2 - y };
    draw();
    show(i);
    heard.textContent = data.titles[i];
  }
  function show(i) {
    tip.hidden = i < 0;
    if (i < 0) return;
    const picture = tip.querySelector('canvas');
    picture.width = picture.height = 120;
    const pen = picture.getContext('2d');
    pen.imageSmoothingEnabled = false;
    if (sheet.naturalWidth) pen.drawImage(sheet, ...cell(i), data.cell, data.cell, 0, 0, 120, 120);
    tip.querySelector('span').textContent = data.titles[i];
    const [x, y] = spot(i);
    tip.style.left = `${Math.min(Math.max(0, x + 14), canvas.clientWidth - 136)}px`;
    tip.style.top = `${y + 190 > canvas.clientHeight ? Math.max(0, y - 186) : y + 14}px`;
  }
  const where = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  function enlarge([x, y], grow) {  // what lies at that place stays there
    const scale = Math.min(40, Math.max(1, zoom.scale * grow)), by = scale / zoom.scale;
    zoom = scale === 1 ? { scale: 1, x: 0, y: 0 } : { scale, x: x - (x - zoom.x) * by, y: y - (y - zoom.y) * by };
    tip.hidden = true;
    draw();
  }
  function pinch(event) {  // two fingers: apart to zoom in, and along to see another part
    const spread = ([[a, b], [c, d]]) => Math.hypot(a - c, b - d) || 1, middle = ([[a, b], [c, d]]) => [(a + c) / 2, (b + d) / 2];
    const before = [...fingers.values()].slice(0, 2);
    fingers.set(event.pointerId, where(event));
    const now = [...fingers.values()].slice(0, 2), [x, y] = middle(now), [u, v] = middle(before);
    if (zoom.scale > 1) zoom = { ...zoom, x: zoom.x + x - u, y: zoom.y + y - v };
    enlarge([x, y], spread(now) / spread(before));
  }
  canvas.onpointerdown = (event) => {
    fingers.set(event.pointerId, where(event));
    chosen = field.chosen = -1;
    path = fingers.size === 1 ? [where(event)] : null;  // the second one begins a zoom, which is no line
    at = path?.[0];
    try { canvas.setPointerCapture(event.pointerId); } catch {}
  };
  canvas.onpointermove = (event) => {
    if (fingers.size > 1) return pinch(event);
    if (!path) return show(nearest(where(event)));
    path.push(where(event));
    tip.hidden = true;
    draw();
  };
  canvas.onpointerup = (event) => {
    fingers.delete(event.pointerId);
    if (!path) return;
    const line = path, [x, y] = where(event);
    path = null;
    const moved = line.some(([a, b]) => Math.hypot(a - at[0], b - at[1]) > NEAR);
    if (moved) {
      const found = [];
      for (let i = 0; i < count; i++) if (shines(i) && inside(spot(i), line)) found.push(i);
      setTriggerValue('enclosed', found);
    } else {
      const i = nearest([x, y]);
      if (i >= 0) open(i);
    }
    draw();
  };
  canvas.onpointercancel = (event) => { fingers.delete(event.pointerId); path = null; draw(); };
  canvas.onpointerleave = () => { if (!path) tip.hidden = true; };
  function open(i) {
    setTriggerValue('clicked', i);
    comeBack(() => canvas.focus({ preventScroll: true }));
  }
  canvas.onkeydown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Enter' && chosen >= 0) open(chosen);
    if (!(event.key in WAYS)) return;
    event.preventDefault();
    const to = towards(WAYS[event.key]);
    if (to >= 0) go(to);
  };
  canvas.onfocus = draw;
  canvas.onblur = () => { tip.hidden = true; draw(); };
  canvas.ariaLabel = data.name;
  canvas.onwheel = (event) => {  // with Ctrl, so that the page still scrolls; two fingers on a touchpad count as that
    if (!event.ctrlKey) return;
    event.preventDefault();
    enlarge(where(event), Math.exp(-event.deltaY / 200));
  };
  legend.replaceChildren(...Object.keys(data.names).filter((l) => data.labels.includes(+l)).map((label) => {
    const entry = document.createElement('button'), dot = document.createElement('i'), name = document.createElement('span');
    dot.style.background = data.colours[label];
    name.textContent = data.names[label];
    entry.append(dot, name);
    entry.ariaPressed = legend.pressed === +label;
    entry.onpointerenter = () => { hovered = +label; draw(); };
    entry.onpointerleave = () => { hovered = null; draw(); };
    entry.onclick = () => {
      legend.pressed = legend.pressed === +label ? null : +label;
      [...legend.children].forEach((other) => { other.ariaPressed = other === entry && legend.pressed !== null; });
      draw();
    };
    return entry;
  }));
  sheet.onload = draw;
  sheet.src = data.sheet;
  const resized = new ResizeObserver(() => { size(); draw(); });
  resized.observe(canvas);
  size();
  draw();
  return () => resized.disconnect();
}
