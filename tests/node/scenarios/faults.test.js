// What a client sees while a part of the network is broken, and that it works again afterwards.
// Runs alone, because the other scenarios would see it too.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { StatusCode, checkpointers } from '@hyperledger/fabric-gateway';

import { startChaincode } from '../networks/chaincodes.js';
import { unbreakable, without } from '../support/faults.js';
import { listening } from '../support/listen.js';
import { from, isRefusal, refusal, refused } from '../support/refusal.js';
import { noCombination, notCollected, notEndorsed } from '../support/words.js';
import { channel, gateway, network as settings, org1, org2, text, unique, world } from '../support/world.js';

const RECOVERY_MS = 120_000;
const RETRY_MS = 50;

const network = gateway().getNetwork(channel);
const contract = network.getContract('both');

/** What a peer says of an address where nobody listens. */
const REFUSED = (address) =>
  `rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp ${address}: connect: connection refused"`;

/** Repeats a call until it does not fail. */
async function recovers(call) {
  const deadline = Date.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > deadline) {
        throw error;
      }
      await pause(RETRY_MS);
    }
  }
}

describe('a chaincode service', { skip: world.kind === 'other' && 'its service is not ours' }, () => {
  const chaincode = world.chaincodes.find(({ name }) => name === 'fragile');
  const fragile = network.getContract('fragile');
  let service;
  const stops = [];
  const start = () => startChaincode(chaincode, join(world.folder, 'fragile.log'), stops);
  after(() => Promise.all(stops.map((stop) => stop())));

  const words = (reason) => new RegExp(`^error in simulation: failed to execute transaction [0-9a-f]{64}: ${reason}$`);
  const UNREACHABLE = words('could not launch chaincode (\\S+): connection to \\1 failed: error cannot create connection for \\1: ' +
    `error creating grpc connection to ${chaincode?.address}: failed to create new connection: ` +
    `connection error: desc = "transport: error while dialing: dial tcp ${chaincode?.address}: connect: connection refused"`);
  const notEvaluatedByAny = (first, second) => ({
    type: 'GatewayError',
    code: 'ABORTED',
    message: 'failed to evaluate transaction, see attached details for more info',
    details: [from(org1, first), from(org2, second)],
  });

  it('that does not run is named', async () => {
    await refused(fragile.evaluateTransaction('echo', 'x'), notEvaluatedByAny(UNREACHABLE, UNREACHABLE));
    await refused(fragile.submitTransaction('echo', 'x'), notEndorsed(UNREACHABLE));
  });

  it('is found when it starts later', async () => {
    service = await start();
    assert.equal(text(await recovers(() => fragile.evaluateTransaction('echo', 'late'))), 'late');
    assert.equal(text(await fragile.submitTransaction('echo', 'late')), 'late');
  });

  it('that dies in a transaction is named, and the other peer is asked', async () => {
    const died = 'error sending: chaincode stream terminated';
    // What the other peer finds depends on whether it had a connection, and on when the port is closed.
    const other = words(`(${died}|could not launch chaincode .*)`);
    await refused(network.getContract('fragile', 'faulty').evaluateTransaction('crash'), notEvaluatedByAny(words(died), other));
    await service.ended();
  });

  it('is found again when it comes back', async () => {
    await start();
    assert.equal(text(await recovers(() => fragile.evaluateTransaction('echo', 'back'))), 'back');
  });
});

describe('the peer of the other organisation', { skip: unbreakable }, () => {
  /** FAB-06: what could not be asked is named. */
  it('is named when it does not answer', async () => {
    await without('otherPeer', async () => {
      const seen = await refusal(contract.submitTransaction('echo', 'x'));
      // The gateway forgets a peer some time after it last heard of it; until then it tries.
      const forgotten = seen.code === 'FAILED_PRECONDITION';
      isRefusal(seen, forgotten ? noCombination('no peer combination can satisfy the endorsement policy') : notCollected(org2, REFUSED(org2.peer)));
      assert.equal(text(await contract.evaluateTransaction('echo', 'one is enough')), 'one is enough');
      assert.equal(text(await network.getContract('either').submitTransaction('echo', 'one is enough')), 'one is enough');
    });
    assert.equal(text(await recovers(() => contract.submitTransaction('echo', 'both again'))), 'both again');
  });
});

describe('the orderer', { skip: unbreakable }, () => {
  it('is named when it does not answer, and the same envelope is good later', async () => {
    const transaction = await contract.newProposal('put', { arguments: [unique('kept'), 'x'] }).endorse();
    await without('orderer', async () => {
      const { address } = settings.orderer;
      await refused(transaction.submit(), {
        type: 'SubmitError',
        code: 'UNAVAILABLE',
        message: 'no orderers could successfully process transaction',
        details: [{ mspId: 'OrdererMSP', address, message: REFUSED(address) }],
      });
    });
    const commit = await recovers(() => transaction.submit());
    assert.equal((await commit.getStatus()).code, StatusCode.VALID);
  });
});

describe("the gateway's peer", { skip: unbreakable }, () => {
  const lost = { type: 'GatewayError', code: 'UNAVAILABLE' };

  it('takes its streams with it, which resume from their checkpoint', async () => {
    const name = unique('interrupted');
    const checkpoint = checkpointers.inMemory();
    const emit = (payload) => recovers(() => contract.submitTransaction('event', name, payload));
    const ours = ({ eventName }) => eventName === name;
    await listening(network.getChaincodeEvents('both', { checkpoint }), async (events) => {
      await emit('before');
      await checkpoint.checkpointChaincodeEvent(await events.find(ours));
      await without('gateway', async () => {
        await refused(events.next(), lost);
        await refused(contract.evaluateTransaction('echo', 'x'), lost);
      });
    });
    await emit('after');
    await listening(network.getChaincodeEvents('both', { checkpoint }), async (events) => {
      assert.equal(text((await events.find(ours)).payload), 'after');
    });
  });
});

describe('a peer', () => {
  it('refuses more calls at once than its limit', async () => {
    const CALLS = 600;
    const slow = network.getContract('both', 'faulty');
    const calls = await Promise.allSettled(Array.from({ length: CALLS }, () => slow.evaluateTransaction('slow', '1000')));
    const errors = calls.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.cause.details);
    assert.ok(errors.length > 0, 'none was refused');
    assert.ok(errors.length < CALLS / 2, `${errors.length} were refused`);
    assert.deepEqual([...new Set(errors)], ['too many requests for /gateway.Gateway, exceeding concurrency limit (500)']);
    assert.equal(text(await contract.evaluateTransaction('echo', 'afterwards')), 'afterwards');
  });
});
