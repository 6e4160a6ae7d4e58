// Breaking the network under test on purpose.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { world } from './world.js';

const run = promisify(execFile);

/** Why faults cannot be made here; false where they can. */
export const unbreakable = world.kind === 'lab' || world.control !== undefined ? false : 'nobody can break this network from here';

const node = { peer: 'peer2', orderer: 'orderer1' };

/** Ends the peer of Org2MSP or the orderer at once, runs `use`, and brings it back whatever happens. */
export async function without(what, use) {
  await lab('kill', node[what]);
  try {
    return await use();
  } finally {
    await lab('start', node[what]);
  }
}

async function lab(...args) {
  await run(join(world.scripts, 'fault'), args, { env: { ...process.env, ...world.env } });
}
