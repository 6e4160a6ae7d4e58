// The development ledger, started from a built `gx`.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePort } from './ports.js';
import { Service } from './service.js';

const START_MS = 60_000;

/** Starts a development ledger in a folder, with the chaincodes. `stops` learns how to end it. */
export async function startDevnet(gx, folder, chaincodes, stops) {
  if (gx === undefined) {
    throw new Error('name a built `gx` with --gx=FILE, or run scripts/test-official, which builds one');
  }
  const args = ['devnet', '--data-dir', folder, '--listen', `127.0.0.1:${await freePort()}`, '--cut', 'batch:500:2097152:50'];
  for (const chaincode of chaincodes) {
    chaincode.id = `${chaincode.name}:any`;
    args.push('--chaincode', `${chaincode.name}=${chaincode.address}`);
    if (chaincode.policy !== undefined) {
      args.push('--policy', `${chaincode.name}=${chaincode.policy}`);
    }
    if (chaincode.collections !== undefined) {
      args.push('--collections', `${chaincode.name}=${chaincode.collections}`);
    }
  }
  const control = join(folder, 'control.json');
  const service = new Service('gx devnet', gx, args, { logFile: join(folder, 'devnet.log') });
  stops.push(() => service.stop());
  let steered;
  await service.until(`wrote ${control}`, async () => (steered = await readJson(control)) !== undefined, START_MS);
  return { describe: () => ({ kind: 'devnet', network: join(folder, 'network.json'), control: steered.url }) };
}

/** What a file says, once it is there and whole. */
async function readJson(path) {
  try {
    return JSON.parse(await readFile(path));
  } catch {
    return undefined;
  }
}
