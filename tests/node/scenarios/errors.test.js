// What the ledger answers to calls that it must refuse, whoever makes them.

import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Client, credentials } from '@grpc/grpc-js';

import { listening } from '../support/listen.js';
import { commitRequest, rawCall } from '../support/messages.js';
import { refused } from '../support/refusal.js';
import { noCombination, notEndorsed, notEvaluated } from '../support/words.js';
import { channel, channelTo, connection, deadlines, gateway, network as settings, org1, org2 } from '../support/world.js';

const network = gateway().getNetwork(channel);
const contract = network.getContract('both');

describe('a name that is not known', () => {
  it('of a function', async () => {
    const message = "chaincode response 500, You've asked to invoke a function that does not exist: nosuch";
    await refused(contract.evaluateTransaction('nosuch'), notEvaluated(message));
    await refused(contract.submitTransaction('nosuch'), notEndorsed(message));
  });

  it('of a contract', async () => {
    const unknown = network.getContract('both', 'nosuch');
    await refused(unknown.evaluateTransaction('echo', 'x'), notEvaluated('chaincode response 500, Contract name is not known: nosuch'));
  });

  it('of a chaincode', async () => {
    const unknown = network.getContract('nosuch');
    await refused(unknown.evaluateTransaction('echo'), {
      type: 'GatewayError', code: 'FAILED_PRECONDITION', message: `no peers available to evaluate chaincode nosuch in channel ${channel}`,
    });
    await refused(unknown.submitTransaction('echo'), noCombination(`No metadata was found for chaincode nosuch in channel ${channel}`));
  });

  it('of a channel', async () => {
    const elsewhere = gateway().getNetwork('nochannel');
    await refused(elsewhere.getContract('both').evaluateTransaction('echo', 'x'), {
      type: 'GatewayError', code: 'UNAVAILABLE', message: 'failed to get config for channel [nochannel]: could not get last config for channel nochannel',
    });
    await refused(elsewhere.getContract('both').submitTransaction('echo', 'x'),
      noCombination('No metadata was found for chaincode both in channel nochannel'));
    const message = 'Failed to get policy manager for channel [nochannel]';
    await refused(async () => listening(elsewhere.getChaincodeEvents('both'), (events) => events.next()),
      { type: 'GatewayError', code: 'PERMISSION_DENIED', message });
    const commit = gateway().newCommit(commitRequest('ff'.repeat(32), { on: 'nochannel' }));
    await refused(commit.getStatus(), { type: 'CommitStatusError', code: 'PERMISSION_DENIED', message });
  });
});

describe('too few arguments', () => {
  it('are told by the contract', async () => {
    await refused(contract.evaluateTransaction('echo'), notEvaluated('chaincode response 500, Expected 1 parameters, but 0 have been supplied'));
  });
});

describe('time', () => {
  // Who notices first, client or server, decides between the two codes.
  const late = /^(DEADLINE_EXCEEDED|CANCELLED)$/;

  it('runs out for a call that takes longer than its deadline', async () => {
    const impatient = gateway(deadlines(400)).getNetwork(channel).getContract('both', 'faulty');
    await refused(impatient.evaluateTransaction('slow', '2000'), { type: 'GatewayError', code: late });
    await refused(impatient.submitTransaction('slow', '2000'), { type: 'EndorseError', code: late });
  });

  it('runs out for the commit status of what was never submitted', async () => {
    const endorsed = await contract.newProposal('echo', { arguments: ['kept'] }).endorse();
    const commit = gateway(deadlines(600)).newCommit(commitRequest(endorsed.getTransactionId()));
    await refused(commit.getStatus(), { type: 'CommitStatusError', code: late });
  });
});

describe('a message', () => {
  it("above the client's own limit is refused by the client", async () => {
    const small = gateway({ client: connection(org1, { 'grpc.max_receive_message_length': 4 * 1024 * 1024 }) });
    await refused(small.getNetwork(channel).getContract('both', 'faulty').evaluateTransaction('large', '5000000'),
      { type: 'GatewayError', code: 'RESOURCE_EXHAUSTED', message: /^Received message larger than max \(\d+ vs 4194304\)$/ });
  });

  it('that is empty is refused', async () => {
    const refusals = {
      Evaluate: 'failed to unpack transaction proposal: a signed proposal is required',
      Endorse: 'the proposed transaction must contain a signed proposal',
      Submit: 'a prepared transaction is required',
      CommitStatus: 'a commit status request is required',
    };
    for (const [method, message] of Object.entries(refusals)) {
      await refused(rawCall(connection(org1), `/gateway.Gateway/${method}`), { code: 'INVALID_ARGUMENT', message });
    }
  });

  it('to a method or service that is not there is refused', async () => {
    await refused(rawCall(connection(org1), '/gateway.Gateway/Nosuch'),
      { code: 'UNIMPLEMENTED', message: 'unknown method Nosuch for service gateway.Gateway' });
    const orderer = channelTo(settings.orderer.address, readFileSync(settings.orderer.tlsCa));
    await refused(rawCall(orderer, '/gateway.Gateway/Evaluate'), { code: 'UNIMPLEMENTED', message: 'unknown service gateway.Gateway' });
  });
});

describe('a connection', () => {
  it('without TLS is not established', async () => {
    const plain = new Client(org1.peer, credentials.createInsecure());
    await refused(rawCall(plain, '/gateway.Gateway/Evaluate'), { code: 'UNAVAILABLE' });
    plain.close();
  });

  it('that trusts another authority is not established', async () => {
    const wrong = channelTo(org1.peer, readFileSync(org2.tlsCa));
    await refused(rawCall(wrong, '/gateway.Gateway/Evaluate'), { code: 'UNAVAILABLE', message: /certificate/ });
  });
});
