// Ports of this machine.

import { connect, createServer } from 'node:net';

/** A port of an address of this machine that nothing listens on. */
export async function freePort(host = '127.0.0.1') {
  const server = createServer();
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The first of `count` ports in a row that nothing listens on. */
export async function freeRange(count) {
  const FIRST = 28_000;
  const LAST = 32_000;
  for (let base = FIRST; base < LAST; base += count) {
    const ports = Array.from({ length: count }, (_, i) => base + i);
    const taken = await Promise.all(ports.map((port) => accepts(`127.0.0.1:${port}`)));
    if (!taken.includes(true)) {
      return base;
    }
  }
  throw new Error(`no ${count} free ports in a row`);
}

/** Whether something listens on an address. */
export function accepts(address) {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host);
    const answer = (value) => () => {
      socket.destroy();
      resolve(value);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}
