const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function made(tag, parent, text = '', name = '') {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  element.className = name;
  return element;
}
export default function ({ data, parentElement, setTriggerValue }) {
  const table = parentElement.querySelector('table'), frame = table.parentElement, count = data.names.length;
  const focused = table.getRootNode().activeElement?.dataset?.place, before = frame.scrollLeft;
  table.replaceChildren();
  table.style.setProperty('--classes', count);
  frame.style.fontSize = `${data.larger}rem`;
  const head = made('thead', table), axis = made('tr', head), names = made('tr', head), body = made('tbody', table);
  made('th', axis);
  made('th', axis, `${data.answer} →`, 'axis').colSpan = count;
  made('th', names, `${data.truth} ↓`, 'axis');
  data.names.forEach((name) => {
    const cell = made('th', names);
    cell.scope = 'col';
    made('span', cell, name);
  });
  const buttons = data.rows.map((row, i) => {
    const line = made('tr', body);
    made('th', line, data.names[i]).scope = 'row';
    return row.map((cell, j) => {
      const place = made('td', line);
      return cell && press(made('button', place, cell.count), cell, i, j);
    });
  });
  function press(button, cell, i, j) {
    button.className = i === j ? 'hit' : '';
    button.classList.toggle('bright', cell.strength > (i === j ? 0.5 : 0.6));
    button.style.setProperty('--strength', cell.strength);
    button.title = button.ariaLabel = cell.said;
    button.dataset.place = `${i} ${j}`;
    if (i === data.chosen[0] && j === data.chosen[1]) button.ariaCurrent = 'true';
    button.onclick = () => setTriggerValue('cell', [i, j]);
    button.onfocus = () => stop(button);
    button.onkeydown = (event) => move(event, i, j);
    return button;
  }
  function stop(at) {  // where Tab leads; the arrow keys go on from there
    table.querySelectorAll('button').forEach((button) => { button.tabIndex = button === at ? 0 : -1; });
  }
  function move(event, i, j) {  // to the next cell that way in which there is a number
    if (!(event.key in MOVES)) return;
    event.preventDefault();
    const [down, right] = MOVES[event.key];
    do { i += down; j += right; } while (buttons[i] && j in buttons[i] && !buttons[i][j]);
    buttons[i]?.[j]?.focus();
  }
  stop(table.querySelector('[aria-current]') ?? table.querySelector('button'));
  if (focused) [...table.querySelectorAll('button')].find((b) => b.dataset.place === focused)?.focus({ preventScroll: true });
  function fit() {  // words that are wider than their column are written upwards
    table.classList.remove('turned');
    const wide = [...names.querySelectorAll('span')].some((words) => words.getClientRects().length > 1);
    table.classList.toggle('turned', wide);
  }
  fit();
  frame.scrollLeft = before;
  let width = frame.clientWidth;
  const watch = new ResizeObserver(() => { if (frame.clientWidth !== width) { width = frame.clientWidth; fit(); } });
  watch.observe(frame);
  return () => watch.disconnect();
}
