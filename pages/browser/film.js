const SETTLED = 300;  // milliseconds within which a click still belongs to the key that was let go

export default function ({ data, parentElement, setTriggerValue }) {
  const video = parentElement.querySelector('video'), button = parentElement.querySelector('button');
  const note = parentElement.querySelector('.note'), film = parentElement.imgrecFilm ??= { frames: [] };
  film.send = (frames) => setTriggerValue('film', frames);
  film.data = data;
  video.ariaLabel = data.words.video;
  parentElement.querySelector('.film').classList.toggle('closed', !cameraOpens());

  function shoot() {
    if (film.frames.length < film.data.most) film.frames.push(squareOf(video, film.data.side));
    const { recording, stop } = film.data.words;
    button.textContent = `${film.toggled ? `${stop}: ` : ''}${recording} ${film.frames.length}`;
  }
  function begin(event) {
    if (film.timer || button.disabled || event.repeat || event.button > 0) return;
    event.preventDefault();
    film.toggled = event.type === 'click';
    if (event.type === 'pointerdown') button.setPointerCapture(event.pointerId);
    film.frames = [];
    button.classList.add('on');
    shoot();
    film.timer = setInterval(shoot, film.data.every);
  }
  function end() {
    if (!film.timer) return;
    clearInterval(film.timer);
    film.timer = null;
    film.ended = performance.now();
    button.classList.remove('on');
    button.textContent = film.data.words.hold;
    film.send(film.frames);
    film.frames = [];
  }
  button.onpointerdown = begin;
  button.onpointerup = button.onpointercancel = button.onlostpointercapture = button.onblur = end;
  button.onkeydown = (event) => {
    if (event.key !== ' ' && event.key !== 'Enter') return;
    event.preventDefault();  // also when it repeats, or a key that is held would click
    begin(event);
  };
  button.onkeyup = (event) => { if (event.key === ' ' || event.key === 'Enter') end(); };
  button.onclick = (event) => {  // by a screen reader or by voice, which hold nothing
    if (event.detail || performance.now() - (film.ended ?? -SETTLED) < SETTLED) return;
    film.timer ? end() : begin(event);
  };
  button.oncontextmenu = (event) => event.preventDefault();  // a long touch asks for a menu
  if (!film.timer) button.textContent = data.words.hold;
  if (!film.stream) note.textContent = data.words.wait;
  openCamera(film, video, data.words, (text) => { note.textContent = text; },
    () => {
      button.disabled = false;
      note.textContent = '';
      if (!film.seen) button.scrollIntoView({ block: 'nearest' });  // on a phone it is below the picture
      film.seen = true;
    });
  return () => {
    clearInterval(film.timer);
    film.timer = null;
    button.disabled = true;
    closeCamera(film);
  };
}
