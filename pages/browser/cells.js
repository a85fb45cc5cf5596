const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const PACE = 700;  // milliseconds a cell is looked at
const timers = new WeakMap();
export default function ({ data, parentElement, setTriggerValue }) {
  const [button, play] = parentElement.querySelectorAll('button'), image = parentElement.querySelector('img');
  const [glyph, word] = play.children;
  image.src = data.src;
  image.alt = button.ariaLabel = data.alt;
  button.style.maxWidth = data.width ? `${data.width}px` : '';
  const choose = (row, column, heard = true) => {
    play.heard = heard;
    setTriggerValue('cell', [Math.min(Math.max(row, 0), data.rows - 1), Math.min(Math.max(column, 0), data.columns - 1)]);
  };
  if (play.heard) parentElement.querySelector('.heard').textContent = data.said;
  play.heard = false;
  image.onclick = (event) => {
    const { left, top, width, height } = image.getBoundingClientRect();
    choose(Math.floor((event.clientY - top) / height * data.rows), Math.floor((event.clientX - left) / width * data.columns));
  };
  button.onkeydown = (event) => {
    if (!(event.key in MOVES)) return;
    event.preventDefault();
    const [down, right] = MOVES[event.key];
    choose(data.row + down, data.column + right);
  };
  const following = () => {  // as one reads, and from the last to the first
    const next = (data.row * data.columns + data.column + 1) % (data.rows * data.columns);
    choose(Math.floor(next / data.columns), next % data.columns, false);
  };
  const wait = () => {
    clearTimeout(timers.get(parentElement));
    [glyph.textContent, word.textContent] = play.plays ? ['⏸', data.pause] : ['▶', data.play];
    if (play.plays) timers.set(parentElement, setTimeout(following, PACE));
  };
  play.onclick = () => { play.plays = !play.plays; wait(); };
  wait();  // what was chosen is drawn by now: on to the next
  return () => clearTimeout(timers.get(parentElement));
}
