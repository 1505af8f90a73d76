// One WebSocket that comes back by itself. Owns the socket and the timers of its life;
// refuses to know what messages mean, save the server's word about when to come back.

const SILENCE = 60_000; // ms; the bridge has something to say at least every 30 s
const HANDSHAKE = 10_000; // left alone, a browser waits minutes for a host that is gone
const STEADY = 5_000; // a shorter connection counts as one more failure
const SHORTEST = 500;
const LONGEST = 30_000;

export function connect(url, onMessage, onChange) {
  let socket, timer, failures = 0, retryAfter = null, opened = 0, heard = 0;
  const link = { phase: "connecting", wasOpen: false, failed: false, retryAt: 0, reason: "", close, hurry };

  function open() {
    clearTimeout(timer);
    heard = performance.now();
    link.phase = "connecting";
    socket = new WebSocket(url);
    socket.onopen = () => {
      opened = heard = performance.now();
      Object.assign(link, { phase: "open", wasOpen: true, failed: false, reason: "" });
      onChange();
    };
    socket.onmessage = (event) => {
      heard = performance.now();
      const message = JSON.parse(event.data);
      if (message.type === "reconnect") {
        retryAfter = 1000 * message.retry_after;
        link.reason = message.reason;
      } else {
        onMessage(message);
      }
    };
    socket.onclose = lost;
    onChange();
  }

  function lost() {
    release();
    const steady = link.phase === "open" && performance.now() - opened > STEADY;
    failures = steady ? 0 : failures + 1;
    // Full jitter, so that the viewers of a bridge that fell do not come back all at once. The
    // server's own wish is spread already.
    const delay = retryAfter ?? Math.random() * Math.min(LONGEST, SHORTEST * 2 ** failures);
    retryAfter = null;
    Object.assign(link, { phase: "waiting", failed: true, retryAt: performance.now() + delay });
    timer = setTimeout(open, delay);
    onChange();
  }

  // A dead peer never answers the closing handshake: let go first, then close.
  function release() {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  function check() {
    const limit = link.phase === "open" ? SILENCE : HANDSHAKE;
    if (link.phase !== "waiting" && performance.now() - heard > limit) lost();
  }

  function hurry() {
    if (link.phase === "waiting") open();
  }

  function close() {
    clearTimeout(timer);
    clearInterval(watch);
    removeEventListener("online", hurry);
    release();
  }

  const watch = setInterval(check, 1000);
  addEventListener("online", hurry);
  open();
  return link;
}
