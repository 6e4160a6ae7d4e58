// The chaincodes that every network under test has. They share one folder of source; the names
// differ in their endorsement policy and collections.

import { fileURLToPath } from 'node:url';

import { freePort } from './ports.js';
import { Service } from './service.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const EITHER = "OR('Org1MSP.peer','Org2MSP.peer')";
const START_MS = 60_000;
/** Not that of the networks, which open further ports and could take that of a chaincode before it starts. */
const HOST = '127.0.0.2';

const DEFINITIONS = [
  // The network's own policy: a majority of its organisations, which is both.
  { name: 'both' },
  { name: 'either', policy: EITHER, collections: here('collections.json') },
  // Its service is started and killed by scenarios.
  { name: 'fragile', policy: EITHER, byScenario: true },
];

/** Gives each chaincode an address. */
export async function placeChaincodes() {
  return Promise.all(DEFINITIONS.map(async (definition) => ({ ...definition, address: `${HOST}:${await freePort(HOST)}` })));
}

/** Starts the service of a chaincode, and waits until it listens. `stops` learns how to end it. */
export async function startChaincode({ name, address, id }, logFile, stops) {
  const cli = here('../node_modules/fabric-shim/cli.js');
  const args = [cli, 'server', '--chaincode-address', address, '--chaincode-id', id, '--module-path', here('../chaincode')];
  const env = { ...process.env, CORE_CHAINCODE_LOGGING_LEVEL: 'ERROR', CORE_CHAINCODE_LOGGING_SHIM: 'ERROR' };
  const service = new Service(`chaincode ${name}`, process.execPath, args, { env, logFile });
  stops.push(() => service.stop());
  await service.listening(address, START_MS);
  return service;
}
