// Requests that the official client would not make by itself.

import { gateway as messages, common, msp, peer } from '@hyperledger/fabric-protos';

import { channel, user1 } from './world.js';

/** The order of the curve P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const BYTES = 32;

/** Calls a method with bytes as they are. */
export function rawCall(client, method, bytes = Buffer.alloc(0), deadline = Date.now() + 60_000) {
  const asTheyAre = (value) => Buffer.from(value);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method, asTheyAre, asTheyAre, bytes, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

/** The bytes of a client's question for the status of a transaction. */
export function commitRequest(transactionId, { on = channel, as = user1 } = {}) {
  const identity = new msp.SerializedIdentity();
  identity.setMspid(as.mspId);
  identity.setIdBytes(as.cert);
  const request = new messages.CommitStatusRequest();
  request.setChannelId(on);
  request.setTransactionId(transactionId);
  request.setIdentity(identity.serializeBinary());
  const signed = new messages.SignedCommitStatusRequest();
  signed.setRequest(request.serializeBinary());
  return signed.serializeBinary();
}

/** The bytes of a proposal with another time in it. */
export function proposedAt(proposal, date) {
  const proposed = messages.ProposedTransaction.deserializeBinary(proposal.getBytes());
  const inner = peer.Proposal.deserializeBinary(proposed.getProposal().getProposalBytes_asU8());
  const header = common.Header.deserializeBinary(inner.getHeader_asU8());
  const channelHeader = common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8());
  channelHeader.getTimestamp().fromDate(date);
  header.setChannelHeader(channelHeader.serializeBinary());
  inner.setHeader(header.serializeBinary());
  proposed.getProposal().setProposalBytes(inner.serializeBinary());
  return proposed.serializeBinary();
}

/** The same ECDSA signature with the larger of its two possible S, which Fabric refuses. */
export function withHighS(signature) {
  const [r, s] = integers(Buffer.from(signature));
  const parts = [r, s > ORDER / 2n ? s : ORDER - s].map((value) => {
    const bytes = Buffer.from(value.toString(16).padStart(BYTES * 2, '0'), 'hex');
    const positive = bytes[0] & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
    return Buffer.concat([Buffer.of(0x02, positive.length), positive]);
  });
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(0x30, content.length), content]);
}

/** The two integers of an ASN.1 DER sequence shorter than 128 bytes. */
function integers(der) {
  const read = (at) => ({ value: BigInt(`0x${der.subarray(at + 2, at + 2 + der[at + 1]).toString('hex')}`), next: at + 2 + der[at + 1] });
  const first = read(2);
  return [first.value, read(first.next).value];
}
