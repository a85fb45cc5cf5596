const GAP = 6, LINE = 16, TALLEST = 8e6;  // browsers do not draw elements much taller than that

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const view = parentElement.querySelector('.view');
  const room = parentElement.querySelector('.room');
  const grid = parentElement.querySelector('.grid');
  let columns, row, rows, height, sight;
  const root = view.getRootNode(), held = view.contains(root.activeElement);
  const drawn = (index) => grid.children[index - data.first]?.querySelector('button');

  function measure() {
    const inner = room.clientWidth || view.clientWidth;
    columns = Math.max(1, Math.floor((inner + GAP) / (data.size + GAP)));
    row = (inner - GAP * (columns - 1)) / columns + data.lines * LINE + 2 + GAP;
    rows = Math.ceil(data.total / columns);
    height = Math.min(rows * row, TALLEST);
    grid.style.setProperty('--lines', data.lines);
    room.style.height = `${height}px`;
    grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  }
  const inView = () => Math.max(1, Math.ceil(view.clientHeight / row));
  function topRow() {  // the first row in sight; of a very tall grid the scroll bar tells the share
    if (height === rows * row) return Math.floor(view.scrollTop / row);
    const share = view.scrollTop / Math.max(1, height - view.clientHeight);
    return Math.floor(share * Math.max(0, rows - inView() + 1));
  }
  function place() {
    const start = Math.floor(data.first / columns);
    const top = height === rows * row ? start * row : view.scrollTop + (start - topRow()) * row;
    grid.style.top = `${top}px`;
  }
  function ask() {
    const first = topRow() * columns, last = Math.min(data.total, (topRow() + inView() + 1) * columns);
    if (first >= data.first && last <= data.first + data.tiles.length) return;
    const ahead = inView() * columns;
    const wanted = { version: data.version, first: Math.max(0, first - ahead), count: last - first + 2 * ahead };
    if (JSON.stringify(wanted) === sight) return;
    sight = JSON.stringify(wanted);
    setStateValue('sight', wanted);
  }
  function stop() {  // where Tab leads: to the picture that had the focus last, or to the first one in sight
    const index = drawn(view.at) ? view.at : Math.max(data.first, topRow() * columns);
    [...grid.querySelectorAll('button')].forEach((button, i) => { button.tabIndex = data.first + i === index ? 0 : -1; });
  }
  function reveal(line) {  // scroll no further than it takes to see a row
    if (height === rows * row) {
      view.scrollTop = Math.min(view.scrollTop, line * row);
      view.scrollTop = Math.max(view.scrollTop, (line + 1) * row - view.clientHeight);
      return;
    }
    const whole = Math.max(1, Math.floor(view.clientHeight / row)), top = topRow();
    const first = line < top ? line : line >= top + whole ? line - whole + 1 : top;
    if (first !== top) view.scrollTop = (first + 0.5) / Math.max(1, rows - inView() + 1) * (height - view.clientHeight);
    place();
  }
  function focus() {  // on the picture, or until it comes on the grid, which hears the keys, too
    (drawn(view.at) ?? view).focus({ preventScroll: true });
  }
  view.back = focus;
  function clicked(index) {
    setTriggerValue('clicked', index);
    if (!data.several) comeBack(() => view.back());
  }
  view.onkeydown = (event) => {
    const at = view.at, last = data.total - 1, page = Math.max(1, Math.floor(view.clientHeight / row)) * columns;
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns,
      PageUp: at % columns + Math.max(0, at - at % columns - page), PageDown: Math.min(last, at + page), Home: 0, End: last,
    }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (to < 0 || to > last) return;
    view.at = to;
    reveal(Math.floor(to / columns));
    focus();
  };
  if (view.dataset.version !== data.version) {
    view.dataset.version = data.version;
    view.scrollTop = 0;
    view.at = 0;
  }
  view.ariaLabel = data.name;
  measure();
  grid.replaceChildren(...data.tiles.map((tile, index) =>
    drawTile(tile, () => clicked(data.first + index), data.several)));
  grid.querySelectorAll('button').forEach((button, index) => {
    button.onfocus = () => { view.at = data.first + index; stop(); };
  });
  const skipped = data.first % columns;
  if (skipped && grid.firstChild) grid.firstChild.style.gridColumnStart = skipped + 1;
  place();
  stop();
  if (held) focus();
  let waiting;
  view.onscroll = () => {
    if (height !== rows * row) place();
    clearTimeout(waiting);
    waiting = setTimeout(() => { stop(); ask(); }, 60);
  };
  const resized = new ResizeObserver(() => { measure(); place(); ask(); });
  resized.observe(view);
  ask();
  return () => { resized.disconnect(); clearTimeout(waiting); };
}
