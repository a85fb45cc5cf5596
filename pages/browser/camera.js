// On plain http the browser has no camera for a page, whatever its reader allows.
const cameraOpens = () => window.isSecureContext && Boolean(navigator.mediaDevices);
// seen: what a component remembers; words: see words(); tell(text) says why there is no camera; begin() when it runs
function openCamera(seen, video, words, tell, begin) {
  if (seen.stream || seen.opening) return;
  seen.opening = true;
  if (!cameraOpens()) return tell(words.insecure);
  navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } }).then((stream) => {
    if (!seen.opening) return stream.getTracks().forEach((track) => track.stop());  // it was closed meanwhile
    seen.stream = video.srcObject = stream;
    video.onloadeddata = begin;
    video.play();
  }).catch((error) => tell(words[error.name] ?? words.closed));
}
function closeCamera(seen) {
  seen.stream?.getTracks().forEach((track) => track.stop());
  seen.stream = null;
  seen.opening = false;
}
function squareOf(video, side) {  // the middle of what it sees, as a JPEG in an address
  const square = Math.min(video.videoWidth, video.videoHeight), canvas = document.createElement('canvas');
  canvas.width = canvas.height = side;
  canvas.getContext('2d').drawImage(video, (video.videoWidth - square) / 2, (video.videoHeight - square) / 2,
    square, square, 0, 0, side, side);
  return canvas.toDataURL('image/jpeg', 0.9);
}
