// Runs the scenarios:
//
//   node run.js --gx=FILE            against a development ledger of their own, from this `gx`
//   node run.js --lab                against a network of Fabric's binaries (FABRIC_BIN, FABRIC_LAB)
//   node run.js ... NAME...          only the files whose names begin so
//
// Chaincode services run beside it. Everything is stopped at the end; what it left is removed
// when all went well, and named when not.

import { spawn } from 'node:child_process';
import { mkdtemp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { placeChaincodes, startChaincode } from './networks/chaincodes.js';
import { startDevnet } from './networks/devnet.js';
import { startLab } from './networks/lab.js';

const SCENARIOS = fileURLToPath(new URL('scenarios', import.meta.url));

/** Break the network for everybody, so they run alone and last. */
const DISRUPTIVE = ['faults.test.js'];
const AT_ONCE = 2;

const { values: options, positionals: names } = parseArgs({
  options: { gx: { type: 'string' }, lab: { type: 'boolean' } },
  allowPositionals: true,
});
const folder = await mkdtemp(join(tmpdir(), 'gx-official-'));
const stops = [];
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => stopAll().then(() => process.exit(130)));
}
try {
  process.exitCode = await runAll();
} catch (error) {
  console.error(error.stderr || error.message);
  process.exitCode = 1;
} finally {
  await stopAll();
  if (process.exitCode === 0) {
    await rm(folder, { recursive: true });
  } else {
    console.error(`logs and ledger are in ${folder}`);
  }
}

/** Stops what was started, the last first. */
async function stopAll() {
  while (stops.length > 0) {
    await stops.pop()();
  }
}

async function runAll() {
  const ledgerFolder = join(folder, 'ledger');
  await mkdir(ledgerFolder);
  const chaincodes = await placeChaincodes();
  const ledger = options.lab
    ? await startLab(ledgerFolder, chaincodes, stops)
    : await startDevnet(options.gx, ledgerFolder, chaincodes, stops);
  const running = chaincodes.filter((chaincode) => !chaincode.byScenario);
  await Promise.all(running.map((chaincode) => startChaincode(chaincode, join(folder, `${chaincode.name}.log`), stops)));

  const world = join(folder, 'world.json');
  await writeFile(world, JSON.stringify({ ...ledger.describe(), folder, chaincodes }));
  const files = (await readdir(SCENARIOS)).filter((file) => file.endsWith('.test.js') && isChosen(file));
  if (files.length === 0) {
    throw new Error(`no file of ${SCENARIOS} begins with ${names.join(' or ')}`);
  }
  const [disruptive, others] = [files.filter((file) => DISRUPTIVE.includes(file)), files.filter((file) => !DISRUPTIVE.includes(file))];
  const codes = [await runFiles(others, AT_ONCE, world), await runFiles(disruptive, 1, world)];
  return Math.max(...codes);
}

function isChosen(file) {
  return names.length === 0 || names.some((name) => basename(file).startsWith(name));
}

/** The exit code of the test runner. */
async function runFiles(files, concurrency, world) {
  if (files.length === 0) {
    return 0;
  }
  const args = ['--no-deprecation', '--test', '--test-reporter=spec', `--test-concurrency=${concurrency}`, ...files.map((file) => join(SCENARIOS, file))];
  const runner = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, GX_WORLD: world } });
  return new Promise((resolve, reject) => runner.once('error', reject).once('exit', (code) => resolve(code ?? 1)));
}
