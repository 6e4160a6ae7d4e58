// Signing away from the connection: the client prepares bytes, somebody else signs their digest.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StatusCode } from '@hyperledger/fabric-gateway';

import { listening } from '../support/listen.js';
import { refused } from '../support/refusal.js';
import { notEndorsed, notEvaluated, policyFailed } from '../support/words.js';
import { channel, gateway, signerOf, stranger, text, unique, user1 } from '../support/world.js';

const unsigning = gateway({ signer: undefined });
const network = unsigning.getNetwork(channel);
const contract = network.getContract('both');
const sign = signerOf(user1);

/** Signs whatever the client has prepared, and hands the bytes back with the signature. */
async function signed(signable, rebuild, signer = sign) {
  return rebuild(signable.getBytes(), await signer(signable.getDigest()));
}

const proposal = (signable, signer) => signed(signable, (bytes, signature) => unsigning.newSignedProposal(bytes, signature), signer);
const transaction = (signable, signer) => signed(signable, (bytes, signature) => unsigning.newSignedTransaction(bytes, signature), signer);
const commit = (signable, signer) => signed(signable, (bytes, signature) => unsigning.newSignedCommit(bytes, signature), signer);

describe('a gateway without a signer', () => {
  it('cannot evaluate or submit what is not signed', async () => {
    const cannot = { type: 'Error', code: undefined, message: 'No signing implementation' };
    await refused(contract.evaluateTransaction('echo', 'x'), cannot);
    await refused(contract.submitTransaction('echo', 'x'), cannot);
  });

  it('evaluates a signed proposal', async () => {
    const evaluation = await proposal(contract.newProposal('echo', { arguments: ['conga'] }));
    assert.equal(text(await evaluation.evaluate()), 'conga');
  });

  it('submits with a signature for each step', async () => {
    const key = unique('offline');
    const endorsed = await (await proposal(contract.newProposal('append', { arguments: [key, 'a'] }))).endorse();
    const submitted = await (await transaction(endorsed)).submit();
    const status = await (await commit(submitted)).getStatus();
    assert.equal(status.code, StatusCode.VALID);
    assert.equal(text(endorsed.getResult()), 'a');
    const evaluation = await proposal(contract.newProposal('get', { arguments: [key] }));
    assert.equal(text(await evaluation.evaluate()), 'a');
  });

  it('lets another client go on from the bytes of any step', async () => {
    const other = gateway();
    const prepared = contract.newProposal('echo', { arguments: ['handed over'] });
    const endorsed = await other.newProposal(prepared.getBytes()).endorse();
    const submitted = await gateway().newTransaction(endorsed.getBytes()).submit();
    const status = await gateway().newCommit(submitted.getBytes()).getStatus();
    assert.equal(status.code, StatusCode.VALID);
    assert.equal(status.transactionId, prepared.getTransactionId());
  });

  it('listens with a signed request', async () => {
    const requests = [
      [network.newChaincodeEventsRequest('both', { startBlock: 0n }), 'newSignedChaincodeEventsRequest'],
      [network.newBlockEventsRequest({ startBlock: 0n }), 'newSignedBlockEventsRequest'],
      [network.newFilteredBlockEventsRequest({ startBlock: 0n }), 'newSignedFilteredBlockEventsRequest'],
      [network.newBlockAndPrivateDataEventsRequest({ startBlock: 0n }), 'newSignedBlockAndPrivateDataEventsRequest'],
    ];
    await gateway().getNetwork(channel).getContract('both').submitTransaction('event', unique('offline'), 'x');
    for (const [request, rebuild] of requests) {
      const ready = await signed(request, (bytes, signature) => unsigning[rebuild](bytes, signature));
      await listening(ready.getEvents(), (events) => events.next());
    }
  });
});

describe('a signature that is not of the identity', () => {
  const other = signerOf(stranger);
  const denied = `error validating proposal: access denied: channel [${channel}] creator org [${user1.mspId}]`;

  it('is refused by evaluate', async () => {
    const evaluation = await proposal(contract.newProposal('echo', { arguments: ['x'] }), other);
    await refused(evaluation.evaluate(), notEvaluated(denied, { code: 'FAILED_PRECONDITION' }));
  });

  it('is refused by endorse', async () => {
    const endorsement = await proposal(contract.newProposal('echo', { arguments: ['x'] }), other);
    await refused(endorsement.endorse(), notEndorsed(denied));
  });

  it('is refused by the orderer', async () => {
    const endorsed = await (await proposal(contract.newProposal('echo', { arguments: ['x'] }))).endorse();
    await refused((await transaction(endorsed, other)).submit(), {
      type: 'SubmitError',
      code: 'ABORTED',
      message: 'received unsuccessful response from orderer: status=FORBIDDEN, info=implicit policy evaluation failed - ' +
        "0 sub-policies were satisfied, but this policy requires 1 of the 'Writers' sub-policies to be satisfied: permission denied",
    });
  });

  it('is refused by commit status and chaincode events', async () => {
    const readers = policyFailed('Readers');
    const endorsed = await (await proposal(contract.newProposal('echo', { arguments: ['x'] }))).endorse();
    const submitted = await (await transaction(endorsed)).submit();
    await refused((await commit(submitted, other)).getStatus(), { type: 'CommitStatusError', code: 'PERMISSION_DENIED', message: readers });

    const request = await signed(network.newChaincodeEventsRequest('both'),
      (bytes, signature) => unsigning.newSignedChaincodeEventsRequest(bytes, signature), other);
    await refused(async () => listening(request.getEvents(), (events) => events.next()),
      { type: 'GatewayError', code: 'PERMISSION_DENIED', message: readers });
  });
});
