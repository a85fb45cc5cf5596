const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export default function ({ data, parentElement, setTriggerValue }) {
  const net = parentElement.querySelector('.net'), svg = net.querySelector('svg'), places = [];
  const scroll = parentElement.querySelector('.scroll'), before = scroll.scrollLeft;
  const focused = net.getRootNode().activeElement?.ariaLabel;
  net.querySelectorAll('.column').forEach((old) => old.remove());
  let framed = null;
  data.columns.forEach((column, c) => {
    const box = document.createElement('div'), head = document.createElement('div'), cells = document.createElement('div');
    const name = document.createElement('b'), size = document.createElement('small'), words = document.createElement('span');
    box.className = 'column'; head.className = 'head'; cells.className = 'cells';
    name.textContent = column.title;
    size.textContent = column.size;
    words.append(name, document.createElement('br'), size);
    head.append(words);
    places.push(column.cells.map((cell, k) => {
      const element = document.createElement(column.layer < 0 ? 'div' : 'button');
      element.title = cell.title;
      if (cell.src) {
        const image = document.createElement('img');
        image.src = cell.src;
        image.alt = column.layer < 0 ? cell.title : '';
        element.append(image);
      } else {
        const bar = document.createElement('i'), text = document.createElement('span');
        element.className = 'class';
        bar.style.width = `${100 * cell.share}%`;
        text.textContent = cell.text;
        element.append(bar, text);
      }
      if (column.layer >= 0) {
        element.setAttribute('aria-label', `${column.title} ${column.layer + 1}, ${cell.title}`);
        element.onclick = () => setTriggerValue('clicked', [column.layer, cell.number]);
        element.onpointerenter = () => wire(c, k);
        element.onfocus = () => { wire(c, k); stop(element); };
        element.onkeydown = (event) => move(event, c, k);
        element.onpointerleave = element.onblur = () => wire();
        if (column.layer === data.chosen[0] && cell.number === data.chosen[1]) {
          element.classList.add('chosen');
          element.ariaCurrent = true;
          framed = [c, k];
        }
      }
      cells.append(element);
      return element;
    }));
    box.append(head, cells);
    net.append(box);
  });
  function fit() {  // cells as large as lets all columns be seen at once; the words above them take turns, if need be
    const narrow = scroll.clientWidth < 480;  // a phone, which has no room for air
    net.style.setProperty('--words', '1em');
    net.classList.toggle('narrow', narrow);
    const letter = parseFloat(getComputedStyle(document.documentElement).fontSize), maps = data.columns.length - 1;
    const widths = [...net.querySelectorAll('.head span')].map((words) => words.offsetWidth);
    const room = scroll.clientWidth - (narrow ? 17 : 9) - net.querySelector('.column:last-of-type').offsetWidth;
    const spare = (room - (maps + 0.5) * data.least) / maps;  // between cells that are as small as they may be
    const gap = Math.max(narrow ? 3 : 8, Math.min(20, room / maps / 4, spare));
    const cell = Math.max(data.least, Math.min(data.side / 16 * letter, (room - maps * gap) / (maps + 0.5)));
    const needed = (apart) => Math.max(...widths.slice(apart).map((width, i) => (width + widths[i]) / 2 + 6));
    net.style.setProperty('--gap', `${gap}px`);
    net.style.setProperty('--cell', `${cell}px`);
    net.style.setProperty('--words', `${Math.min(1, 2 * (cell + gap) / needed(2))}em`);
    net.classList.toggle('turns', needed(1) > cell + gap);
  }
  function stop(at) {  // where Tab leads; the arrow keys go on from there
    net.querySelectorAll('button').forEach((button) => { button.tabIndex = button === at ? 0 : -1; });
  }
  function move(event, c, k) {
    const [along, down] = MOVES[event.key] ?? [0, 0], cells = places[c + along];
    if (!along && !down) return;
    event.preventDefault();
    const to = cells?.[along ? Math.min(k, cells.length - 1) : k + down];
    if (to?.tagName === 'BUTTON') to.focus();
  }
  stop(framed ? places[framed[0]][framed[1]] : net.querySelector('button'));
  function line(one, other, strength, on) {
    const frame = net.getBoundingClientRect(), from = one.getBoundingClientRect(), to = other.getBoundingClientRect();
    const drawn = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    drawn.setAttribute('x1', from.right - frame.left);
    drawn.setAttribute('y1', (from.top + from.bottom) / 2 - frame.top);
    drawn.setAttribute('x2', to.left - frame.left);
    drawn.setAttribute('y2', (to.top + to.bottom) / 2 - frame.top);
    drawn.setAttribute('stroke-width', on ? 0.5 + 2.5 * strength : 1);
    drawn.setAttribute('opacity', on ? 0.25 + 0.75 * strength : 0.04 + 0.18 * strength);
    if (on) drawn.classList.add('on');
    svg.append(drawn);
  }
  function wire(c = framed?.[0], k = framed?.[1]) {  // all of them faintly, those into one map clearly
    svg.replaceChildren();
    data.columns.forEach((column, at) => (column.wires ?? []).forEach((row, to) => row.forEach((strength, from) => {
      if (strength > 0.02) line(places[column.from][from], places[at][to], strength, at === c && to === k);
    })));
    svg.append(...svg.querySelectorAll('.on'));  // above the others
  }
  if (focused) [...net.querySelectorAll('button')].find((b) => b.ariaLabel === focused)?.focus({ preventScroll: true });
  scroll.scrollLeft = before;
  fit();
  const watch = new ResizeObserver(() => { fit(); wire(); });
  watch.observe(net);
  watch.observe(scroll);
  return () => watch.disconnect();
}
