"""Shared: the camera in the browser, opened by scripts of ours, and the pictures that come from it."""

import base64

import streamlit as st

from imgrec.language import tr

MOST_BYTES = 2**20  # of one picture from a browser

JS = """
      // seen: what a component remembers; words: see words(); tell(text) says why there is no camera; begin() when it runs
      function openCamera(seen, video, words, tell, begin) {
        if (seen.stream || seen.opening) return;
        seen.opening = true;
        if (!navigator.mediaDevices) return tell(words.insecure);
        navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } }).then((stream) => {
          if (!seen.opening) return stream.getTracks().forEach((track) => track.stop());  // it was closed meanwhile
          seen.stream = video.srcObject = stream;
          video.onloadeddata = begin;
          video.play();
        }).catch((error) => tell(`${words.closed} ${error.message}`));
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
"""


def words() -> dict[str, str]:
    """What the scripts say when there is no camera."""
    return {
        "insecure": tr("The browser opens a camera only over https or on this machine itself."),
        "closed": tr("No camera:"),
    }


def sent(key: str, name: str) -> object:
    """What a component of that key has sent under a name; None before it has."""
    values = st.session_state.get(key) or {}
    return values.get(name) if isinstance(values, dict) else getattr(values, name, None)


def content(address: object) -> bytes:
    """The bytes of a picture that a browser sent. Raises ValueError."""
    return base64.b64decode(str(address).partition(",")[2][:MOST_BYTES], validate=True)
