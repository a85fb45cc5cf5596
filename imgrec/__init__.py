"""imgrec: an image-recognition lab. See README.md; the work is in the modules, each importable without Streamlit."""

__version__ = "0.1.0"
