// Streams of events, taken one by one with a limit on the wait.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

const EVENT_MS = 60_000;

/** How long nothing must come before a stream counts as silent. */
const SILENCE_MS = 400;

/** Takes events from a stream that the official client has opened. */
export class Listener {
  #events;
  #iterator;
  #pending;

  constructor(events) {
    this.#events = events;
    this.#iterator = events[Symbol.asyncIterator]();
  }

  /** The next event, whatever it is. */
  async next(limitMs = EVENT_MS) {
    const event = await this.#race(limitMs);
    assert.ok(event !== undefined, `no event within ${limitMs} ms`);
    return event;
  }

  /** The next event that `wanted` accepts; others are passed over. */
  async find(wanted, limitMs = EVENT_MS) {
    const deadline = Date.now() + limitMs;
    for (;;) {
      const event = await this.next(Math.max(1, deadline - Date.now()));
      if (wanted(event)) {
        return event;
      }
    }
  }

  /** The next `count` events. */
  async take(count) {
    const events = [];
    while (events.length < count) {
      events.push(await this.next());
    }
    return events;
  }

  /** Fails when an event comes within a short while. */
  async staysSilent() {
    assert.equal(await this.#race(SILENCE_MS), undefined, 'an event came');
  }

  close() {
    this.#events.close();
  }

  /** The next event, or undefined when the limit passes first. The event is not lost then. */
  async #race(limitMs) {
    const abort = new AbortController();
    this.#pending ??= this.#iterator.next();
    // A stream that fails while nobody looks is told of at the next look.
    this.#pending.catch(() => {});
    const timeout = pause(limitMs, undefined, { signal: abort.signal }).catch(() => {});
    const result = await Promise.race([this.#pending, timeout]);
    abort.abort();
    if (result === undefined) {
      return undefined;
    }
    this.#pending = undefined;
    assert.ok(!result.done, 'the stream ended');
    return result.value;
  }
}

/** Opens a stream, hands a listener to `use`, and closes the stream whatever happens. */
export async function listening(opening, use) {
  const listener = new Listener(await opening);
  try {
    return await use(listener);
  } finally {
    listener.close();
  }
}
