// Processes that the scenarios need beside them.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { accepts } from './ports.js';

const LOG_TAIL_BYTES = 4_000;
const POLL_MS = 20;
const STOP_MS = 5_000;

/** One process, its output in a file. */
export class Service {
  #child;
  #exit;
  #logFile;
  #name;

  constructor(name, command, args, { env = process.env, logFile }) {
    this.#name = name;
    this.#logFile = logFile;
    const log = openSync(logFile, 'a');
    this.#child = spawn(command, args, { env, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#exit = new Promise((resolve) => this.#child.once('exit', resolve).once('error', resolve));
  }

  /** Waits until the process listens on an address. */
  async listening(address, limitMs) {
    await this.until(`listens on ${address}`, () => accepts(address), limitMs);
  }

  /** Waits until `condition` holds; fails with the end of the log when the process ends before. */
  async until(what, condition, limitMs) {
    const deadline = Date.now() + limitMs;
    while (!(await condition())) {
      if (this.#isOver()) {
        throw new Error(`${this.#name} ended before it ${what}:\n${this.#logTail()}`);
      }
      if (Date.now() > deadline) {
        throw new Error(`${this.#name}: not seen within ${limitMs} ms that it ${what}:\n${this.#logTail()}`);
      }
      await pause(POLL_MS);
    }
  }

  /** Waits until the process has ended by itself. */
  async ended() {
    await this.#exit;
  }

  /** Ends the process: in order, or at once with SIGKILL. */
  async stop(signal = 'SIGTERM') {
    if (!this.#isOver()) {
      this.#child.kill(signal);
      const killer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
      await this.#exit;
      clearTimeout(killer);
    }
  }

  #isOver() {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined;
  }

  #logTail() {
    return readFileSync(this.#logFile, 'utf8').slice(-LOG_TAIL_BYTES);
  }
}
