// A network of Fabric's own binaries, started and filled by the scripts of the lab.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { freeRange } from './ports.js';

const run = promisify(execFile);
const PORTS = 40;
const ORGANIZATIONS = [1, 2];

/** Starts a network in a folder and deploys the chaincodes to it. `stops` learns how to end it. */
export async function startLab(folder, chaincodes, stops) {
  const lab = new Lab(folder, await freeRange(PORTS));
  stops.push(() => lab.script('net', 'down'));
  await lab.script('net', 'up');
  for (const chaincode of chaincodes) {
    await lab.deploy(chaincode);
  }
  return lab;
}

class Lab {
  #scripts;
  #env;

  constructor(folder, portBase) {
    const { FABRIC_BIN: bin, FABRIC_LAB: scripts = defaultScripts() } = process.env;
    if (!bin || !existsSync(join(scripts, 'net'))) {
      throw new Error("set FABRIC_BIN to the folder of Fabric's binaries, and FABRIC_LAB to that of the lab's scripts");
    }
    this.#scripts = resolve(scripts);
    this.network = join(folder, 'network.json');
    this.#env = { ...process.env, FABRIC_BIN: resolve(bin), LAB: folder, RAFT_TICK: '100ms', PORT_BASE: String(portBase) };
  }

  /** What a scenario needs to know of this network. */
  describe() {
    const { LAB, FABRIC_BIN } = this.#env;
    return { kind: 'lab', network: this.network, scripts: this.#scripts, env: { LAB, FABRIC_BIN } };
  }

  async deploy(chaincode) {
    const { name, address, policy, collections } = chaincode;
    const options = policy === undefined ? [] : ['-p', policy];
    chaincode.id = (await this.script('deploy', name, '1.0', address, ...options)).trim();
    if (collections !== undefined) {
      await this.#redefine(chaincode);
    }
  }

  /** The scripts know no collections: defines a deployed chaincode once more, with them. */
  async #redefine({ name, policy, id, collections }) {
    const admins = await Promise.all(ORGANIZATIONS.map((organization) => this.#admin(organization)));
    const { CHANNEL, ORDERER_ADDRESS, ORDERER_CA } = admins[0];
    const definition = ['-C', CHANNEL, '-n', name, '-v', '1.0', '--sequence', '2', '--signature-policy', policy,
      '--collections-config', collections, '-o', ORDERER_ADDRESS, '--tls', '--cafile', ORDERER_CA];
    for (const env of admins) {
      await this.#lifecycle(env, 'approveformyorg', ...definition, '--package-id', id);
    }
    const peers = admins.flatMap((env) =>
      ['--peerAddresses', env.CORE_PEER_ADDRESS, '--tlsRootCertFiles', env.CORE_PEER_TLS_ROOTCERT_FILE]);
    await this.#lifecycle(admins[0], 'commit', ...definition, ...peers);
  }

  async #lifecycle(env, ...args) {
    await run(join(this.#env.FABRIC_BIN, 'peer'), ['lifecycle', 'chaincode', ...args], { env });
  }

  /** The environment of an organisation's administrator, from the script's shell exports. */
  async #admin(organization) {
    const exports = await this.script('net', 'env', String(organization));
    const { stdout } = await run('sh', ['-c', `${exports}\nenv -0`], { env: this.#env });
    return Object.fromEntries(stdout.split('\0').filter(Boolean).map((line) => {
      const equals = line.indexOf('=');
      return [line.slice(0, equals), line.slice(equals + 1)];
    }));
  }

  async script(name, ...args) {
    return (await run(join(this.#scripts, name), args, { env: this.#env })).stdout;
  }
}

/** Beside the repository. */
function defaultScripts() {
  return fileURLToPath(new URL('../../../../shared/lab', import.meta.url));
}
