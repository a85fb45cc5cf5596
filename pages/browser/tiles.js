export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector('.grid');
  grid.style.gridTemplateColumns = data.columns
    ? `repeat(${data.columns}, minmax(${data.size}px, 1fr))`
    : `repeat(auto-fill, minmax(min(${data.size}px, 100%), 1fr))`;
  const focused = [...grid.querySelectorAll('button')].indexOf(grid.getRootNode().activeElement);
  grid.replaceChildren(...data.tiles.map((tile) =>
    drawTile(tile, data.clickable && (() => setTriggerValue('clicked', tile.name)))));
  if (focused >= 0) [...grid.querySelectorAll('button')].slice(0, focused + 1).pop()?.focus({ preventScroll: true });
}
