const PAUSE = 120, LATER = 1500;  // milliseconds between an answer and the next picture; until who is away is asked again
const STEADY = 1500;  // milliseconds for which an answer has to stay the same before a screen reader says it

export default function ({ data, parentElement }) {
  const video = parentElement.querySelector('video'), said = parentElement.querySelector('.said');
  const canvas = parentElement.querySelector('canvas');
  const live = parentElement.imgrecLive ??= { stream: null, opening: false };
  Object.assign(live, data);
  video.ariaLabel = data.words.video;
  parentElement.querySelector('.sight').hidden = !cameraOpens();

  function row(name, share) {
    const line = document.createElement('div'), bar = document.createElement('div'), inner = document.createElement('div');
    const label = document.createElement('span'), figure = document.createElement('span');
    line.className = 'row'; bar.className = 'bar';
    label.textContent = label.title = name;
    figure.textContent = `${(100 * share).toFixed(1)}%`;
    inner.style.width = `${100 * share}%`;
    bar.append(inner);
    line.append(label, bar, figure);
    return line;
  }
  function hear(text) {
    if (live.heard === text) return;
    live.heard = text;
    clearTimeout(live.hearing);
    live.hearing = setTimeout(() => { parentElement.querySelector('.heard').textContent = text; }, STEADY);
  }
  function tell(text) {  // instead of an answer
    said.replaceChildren(note(text));
    hear(text);
  }
  function note(text) {
    const line = document.createElement('div');
    line.className = 'note';
    line.textContent = text;
    return line;
  }
  function warm(heat) {  // black, red, yellow, white, the hotter the less the picture shines through
    canvas.width = canvas.height = heat?.side ?? 1;
    if (!heat?.side) return;
    const context = canvas.getContext('2d'), image = context.createImageData(heat.side, heat.side);
    [...atob(heat.values)].forEach((letter, i) => {
      const warmth = letter.charCodeAt(0) / 255;
      image.data.set([0, 1, 2].map((k) => 255 * Math.min(1, Math.max(0, 3 * warmth - k))), 4 * i);
      image.data[4 * i + 3] = 255 * 0.65 * warmth;
    });
    context.putImageData(image, 0, 0);
  }
  function draw(answer) {
    warm(answer.heat);
    const lines = answer.error ? [note(answer.error)] : answer.classes.map((c) => row(c.name, c.probability));
    if (answer.known === false) lines.push(note(live.words.unknown));
    if (answer.heat?.error) lines.push(note(answer.heat.error));
    if (answer.heat?.reliable === false) lines.push(note(live.words.unreliable));
    said.replaceChildren(...lines);
    hear(answer.error ?? (answer.known === false ? live.words.unknown : answer.classes[0].name));
  }
  async function shoot() {
    let pause = PAUSE;
    if (live.stream && video.videoWidth && !document.hidden) {
      const address = live.address;
      try {
        const picture = await (await fetch(squareOf(video, live.side))).blob();
        const answer = await fetch(address, { method: 'POST', body: picture });
        if (!live.stream) return;
        if (!answer.ok) pause = LATER;
        if (answer.ok || answer.status === 404) {
          const content = await answer.json();
          if (address === live.address) draw(content);
        } else if (answer.status !== 503) tell(live.words.away);
      } catch {
        tell(live.words.away);
        pause = LATER;
      }
    }
    if (live.stream) live.next = setTimeout(shoot, pause);
  }
  openCamera(live, video, data.words, tell, shoot);
  return () => {
    clearTimeout(live.next);
    clearTimeout(live.hearing);
    live.heard = null;
    closeCamera(live);
  };
}
