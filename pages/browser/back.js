function comeBack(focus) {  // when the dialog that a click opens is closed: Streamlit finds no way back into a component
  let opened = false;
  const watch = new MutationObserver(() => {
    const dialog = document.querySelector('[role=dialog]');
    if (opened && !dialog) {
      watch.disconnect();
      setTimeout(() => { if (document.activeElement === document.body) focus(); }, 100);
    }
    opened ||= Boolean(dialog);
  });
  watch.observe(document.body, { childList: true, subtree: true });
  setTimeout(() => { if (!opened) watch.disconnect(); }, 10000);
}
