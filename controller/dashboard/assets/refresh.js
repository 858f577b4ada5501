// Fetches the page again and takes over the parts that differ. Without it the page is whole, and stays as it was loaded. The focus, the
// place on the page, what is open and what is selected stay; nothing is announced, unless the server cannot be reached.
'use strict';

const every = 5000;
const button = document.getElementById('pause');
const trouble = document.getElementById('trouble');
const key = 'gpuscaler-paused';

function paused() { return button.getAttribute('aria-pressed') === 'true'; }

function pause(on) {
  button.setAttribute('aria-pressed', String(on));
  button.textContent = on ? 'Updates paused' : 'Pause updates';
  try { sessionStorage.setItem(key, on ? '1' : ''); } catch { /* it is remembered only where that is allowed */ }
}

function selectedIn(part) {
  const s = getSelection();
  return s && !s.isCollapsed && part.contains(s.anchorNode);
}

function take(part, fresh) {
  const open = part instanceof HTMLDetailsElement && part.open;
  if (part.innerHTML === fresh.innerHTML || selectedIn(part)) return;
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  if (focused && !focused.id) return; // it could not be found again
  const scroll = [...part.querySelectorAll('.scroll')].map((e) => e.scrollLeft);
  part.replaceChildren(...document.importNode(fresh, true).childNodes);
  part.querySelectorAll('.scroll').forEach((e, i) => { e.scrollLeft = scroll[i] || 0; });
  if (open) part.open = true;
  if (focused) document.getElementById(focused.id)?.focus({ preventScroll: true });
}

// redraw changes the addresses of a picture in place: the browser shows the old one until it has the new one.
function redraw(picture, fresh) {
  const news = fresh.querySelectorAll('source, img');
  picture.querySelectorAll('source, img').forEach((e, i) => {
    const name = e.tagName === 'IMG' ? 'src' : 'srcset';
    if (news[i] && e.getAttribute(name) !== news[i].getAttribute(name)) e.setAttribute(name, news[i].getAttribute(name));
  });
}

async function refresh() {
  if (paused() || document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: 'no-store', credentials: 'same-origin' });
    if (!answer.ok) throw new Error('the server answers ' + answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (paused()) return;
    document.getElementById('as-of').replaceChildren(...document.importNode(page.getElementById('as-of'), true).childNodes);
    for (const part of document.querySelectorAll('[data-live]')) {
      const fresh = page.getElementById(part.id);
      if (fresh) take(part, fresh);
    }
    for (const picture of document.querySelectorAll('[data-picture]')) {
      const fresh = page.getElementById(picture.id);
      if (fresh) redraw(picture, fresh);
    }
    trouble.hidden = true;
  } catch (e) {
    trouble.textContent = 'Not updated any more (' + e.message + '). It is tried again.';
    trouble.hidden = false;
  }
}

if (button) {
  button.hidden = false;
  let before = false;
  try { before = sessionStorage.getItem(key) === '1'; } catch { /* as above */ }
  if (before) pause(true);
  button.addEventListener('click', () => { pause(!paused()); refresh(); });
  const loop = () => setTimeout(() => refresh().finally(loop), every);
  loop();
}
