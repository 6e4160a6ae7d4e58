// Breaking the network under test on purpose.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { world } from './world.js';

const run = promisify(execFile);

/** Why faults cannot be made here; false where they can. */
export const unbreakable = world.kind === 'other' && 'nobody can break this network from here';

/** What can fail, by its name in the lab's scripts and at the control endpoint of devnet. */
const NODES = {
  gateway: { lab: 'peer1', devnet: 'Org1MSP' },
  otherPeer: { lab: 'peer2', devnet: 'Org2MSP' },
  orderer: { lab: 'orderer1', devnet: 'OrdererMSP' },
};

/** Takes a node away without warning, runs `use`, and brings the node back whatever happens. */
export async function without(node, use) {
  await setDown(NODES[node], true);
  try {
    return await use();
  } finally {
    await setDown(NODES[node], false);
  }
}

async function setDown(node, on) {
  if (world.kind === 'lab') {
    await run(join(world.scripts, 'fault'), [on ? 'kill' : 'start', node.lab], { env: { ...process.env, ...world.env } });
    return;
  }
  const answer = await fetch(new URL('/faults', world.control), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ fault: 'down', node: node.devnet, on }),
  });
  assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
}
