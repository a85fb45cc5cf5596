function drawTile(tile, clicked, toggles) {  // a picture, or a button with it if there is something to be clicked
  const figure = document.createElement('figure');
  const image = document.createElement('img');
  image.onload = () => image.classList.toggle('small', image.naturalWidth < 100);
  image.src = tile.src;
  image.alt = image.title = tile.title;
  const shown = clicked ? buttonOf(tile, image, clicked, toggles) : image;
  shown.classList.toggle('marked', tile.marked);
  figure.append(shown);
  if (tile.caption) {
    const caption = document.createElement('figcaption');
    caption.textContent = tile.caption;
    figure.append(caption);
  }
  return figure;
}
function buttonOf(tile, image, clicked, toggles) {
  const button = document.createElement('button');
  const caption = tile.title.endsWith(tile.caption) ? '' : tile.caption;
  button.ariaLabel = [tile.action, caption, tile.title].filter(Boolean).join(', ');
  button.title = tile.title;
  if (toggles) button.ariaPressed = tile.marked;
  button.onclick = clicked;
  button.append(image);
  return button;
}
